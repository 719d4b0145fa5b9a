// The view of a survey: shows the kernel's current question, sends a choice, waits until the kernel has it on disk.
// Tests and styles read the root's data-* attributes:
//   state question | finished     turn, number  of the question on the screen, set when its pictures are there
//   pending 0 | 1                 kernel  alive | waiting | gone, hellos: how many answers to "are you there?"

const PATIENCE = 2; // seconds until a waiting rater is told why

// JupyterLab delivers a DataView, Colab a Uint8Array.
const bytesOf = (data) => new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);

function make(tag, name, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.className = `survey-${name}`;
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function render({ model, el }) {
  // Two views of one model must not take each other's answers for their own.
  const view = Math.random().toString(36).slice(2, 10);
  let sent = 0;
  let waiting = null; // { choice, since } while the kernel has not confirmed a message
  let question = model.get("question"); // the one on the screen
  let loading = 0; // counts calls of show: a later one wins

  const root = make("div", "root", "", { tabindex: 0, role: "group", "aria-label": "survey" });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab: "d d" deletes a cell, "1" makes it a heading
  root.dataset.pending = 0;
  root.dataset.kernel = "alive";
  root.dataset.hellos = 0;
  const bar = make("progress", "bar", "", { "aria-label": "answered questions" });
  const count = make("span", "count");
  const rater = make("span", "rater");
  const head = make("div", "head");
  head.append(count, rater);
  const body = make("div", "body");
  const back = make("button", "back", "← Back", { type: "button", title: "Take the last answer back (Backspace or ←)" });
  const keys = make("span", "keys");
  const status = make("span", "status", "", { role: "status", "aria-live": "polite" });
  const foot = make("div", "foot");
  foot.append(back, keys, status);
  root.append(bar, head, body, foot);
  el.append(root);

  // ---- what is on the screen

  function card(tag, name, image, title, attributes) {
    const node = make(tag, name, "", attributes);
    node.append(image, make("span", "title", title));
    return node;
  }

  function resultCards(images) {
    return images.map((image, i) => {
      const letter = question.letters[i];
      const button = card("button", "result", image, letter, { type: "button", "aria-label": `Result ${letter}` });
      button.onclick = (event) => {
        if (event.detail < 2) choose(i); // the second click of a double click would answer the next question
      };
      return button;
    });
  }

  function questionNodes(images) {
    const given = make("div", "given");
    given.append(...question.given.map((title, i) => card("figure", "face", images[i], title)));
    const results = make("div", "results");
    results.append(...resultCards(images.slice(question.given.length)));
    const stage = make("div", "stage");
    stage.append(given, results);
    const prompt = make("p", "prompt", question.prompt);
    const step = make("span", "step", `${question.step} of ${question.steps} · ${question.criterion}`);
    step.dataset.step = question.step; // in another colour: the pictures stay, only the question changes
    prompt.prepend(step);
    return [make("p", "task", question.task), prompt, stage];
  }

  function endNodes() {
    const end = make("div", "end");
    end.append(
      make("p", "thanks", `Thank you, ${question.rater}!`),
      make("p", "file", `All ${question.total} answers are stored in ${question.file}.`),
    );
    return [end];
  }

  async function picturesOf(asked) {
    const bytes = bytesOf(model.get("pictures"));
    let start = 0;
    const images = (asked.sizes ?? []).map((size) => {
      const url = URL.createObjectURL(new Blob([bytes.subarray(start, (start += size))], { type: "image/png" }));
      return Object.assign(make("img", "picture", "", { alt: "", draggable: "false" }), { src: url });
    });
    try {
      await Promise.all(images.map((image) => image.decode()));
    } finally {
      images.forEach((image) => URL.revokeObjectURL(image.src));
    }
    return images;
  }

  async function show() {
    const mine = ++loading;
    const asked = model.get("question");
    let images;
    try {
      images = await picturesOf(asked);
    } catch {
      if (mine === loading) say("The pictures cannot be shown. Run this cell again.", true);
      return;
    }
    if (mine !== loading) return;
    question = asked;
    const hadFocus = root.contains(document.activeElement);
    body.replaceChildren(...(question.finished ? endNodes() : questionNodes(images)));
    if (hadFocus) root.focus({ preventScroll: true }); // a removed button takes the focus with it, and keys go astray
    bar.max = question.total;
    bar.value = question.answered;
    count.textContent = question.finished
      ? `${question.total} of ${question.total} answered`
      : `Question ${question.number + 1} of ${question.total}`;
    rater.textContent = `Rater: ${question.rater}`;
    const last = question.letters?.length;
    keys.textContent = last ? `Keys: 1–${last} or A–${question.letters.at(-1)} choose, Backspace goes back` : "";
    back.disabled = (question.number ?? question.total) === 0;
    root.dataset.state = question.finished ? "finished" : "question";
    root.dataset.turn = question.turn;
    root.dataset.number = (question.number ?? question.total) + 1;
    try {
      model.send({ type: "shown", turn: question.turn });
    } catch {
      // Without a kernel, as in a saved page. A choice will say so.
    }
  }

  function say(text, isError = false) {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("survey-error", isError);
  }

  function mark() {
    root.dataset.pending = waiting ? 1 : 0;
    root.querySelectorAll(".survey-result").forEach((node, i) => {
      node.classList.toggle("survey-chosen", waiting?.choice === i);
      node.setAttribute("aria-disabled", Boolean(waiting));
    });
  }

  // ---- view to kernel

  /** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
  function send(message) {
    try {
      model.send(message);
      return true;
    } catch {
      waiting = null;
      root.dataset.kernel = "gone";
      say(`The kernel has stopped. Run this cell again: it goes on here, all answers so far are in ${question.file}.`, true);
      mark();
      return false;
    }
  }

  function tell(message, choice = null) {
    const current = String(model.get("question").turn) === root.dataset.turn;
    if (waiting || !current) return; // the next question is on its way
    waiting = { choice, since: performance.now() };
    say("");
    if (send({ ...message, view, n: ++sent, turn: question.turn })) mark();
  }

  const choose = (choice) => tell({ type: "answer", choice }, choice);
  const goBack = () => back.disabled || tell({ type: "back" });

  // ---- kernel to view

  function onDone() {
    const [name, n, error] = model.get("done");
    if (name !== view || n !== sent) return;
    waiting = null;
    root.dataset.kernel = "alive";
    say(error, Boolean(error));
    mark();
  }

  function onMessage(message) {
    if (message.type !== "hello") return;
    root.dataset.hellos = Number(root.dataset.hellos) + 1;
    if (!waiting) root.dataset.kernel = "alive";
  }

  // While a message is on its way: say why nothing happens, and ask whether the kernel still lives.
  const clock = setInterval(() => {
    if (!waiting) return;
    const seconds = Math.round((performance.now() - waiting.since) / 1000);
    if (seconds < PATIENCE || !send({ type: "hello" })) return;
    root.dataset.kernel = "waiting";
    say(`Waiting for the kernel to store the answer … ${seconds} s (it may be running a cell)`);
  }, 1000);

  // JupyterLab can deliver messages while a cell runs, but only to who has been answered on that second way before.
  send({ type: "hello" });
  const again = setTimeout(() => send({ type: "hello" }), 1000);

  // ---- keys

  function onKey(event) {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toUpperCase();
    const choice = /^[1-9]$/.test(key) ? key - 1 : key.length === 1 ? (question.letters ?? "").indexOf(key) : -1;
    if (event.key === "Backspace" || event.key === "ArrowLeft") goBack();
    else if (choice >= 0 && choice < (question.letters ?? "").length) choose(choice);
    else return;
    event.preventDefault();
  }

  root.addEventListener("keydown", onKey);
  back.onclick = (event) => {
    if (event.detail < 2) goBack();
  };
  model.on("change:question", show);
  model.on("change:done", onDone);
  model.on("msg:custom", onMessage);
  show();

  return () => {
    loading++;
    clearInterval(clock);
    clearTimeout(again);
    model.off("change:question", show);
    model.off("change:done", onDone);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
