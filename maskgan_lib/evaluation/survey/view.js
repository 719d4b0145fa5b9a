// The view of a survey: shows the kernel's current question, sends a choice, waits until the kernel has it on disk.
// Tests and styles read the root's data-* attributes:
//   state question | finished     turn, number  of the question on the screen, set when its pictures are there
//   pending 0 | 1                 kernel  alive | waiting | gone, hellos: how many answers to "are you there?"

const PATIENCE = 2; // seconds until a waiting rater is told why
const FRAME = `
  <progress class="survey-bar" aria-label="answered questions"></progress>
  <div class="survey-head"><span class="survey-count"></span><span class="survey-rater"></span></div>
  <div class="survey-body">
    <p class="survey-task"></p>
    <p class="survey-prompt"><span class="survey-step"></span><span class="survey-asked"></span></p>
    <div class="survey-stage"><div class="survey-given"></div><div class="survey-results"></div></div>
  </div>
  <div class="survey-end"><p class="survey-thanks"></p><p class="survey-file"></p></div>
  <div class="survey-foot">
    <button class="survey-back" type="button" title="Take the last answer back (Backspace or ←)" disabled>← Back</button>
    <span class="survey-keys"></span><span class="survey-status" role="status" aria-live="polite"></span>
  </div>`;

function make(tag, name, values) {
  return Object.assign(document.createElement(tag), { className: `survey-${name}` }, values);
}

function card(tag, name, image, title, values) {
  const node = make(tag, name, values);
  node.append(image, make("span", "title", { textContent: title }));
  return node;
}

function render({ model, el }) {
  let question = {}; // the one on the screen
  let waiting = null; // { choice, since } until what the kernel makes of a message is on the screen
  let loading = 0; // counts calls of show: a later one wins

  const root = make("div", "root", { tabIndex: 0, role: "group", ariaLabel: "survey", innerHTML: FRAME });
  // JupyterLab's shortcuts: "d d" deletes a cell, "1" makes it a heading
  Object.assign(root.dataset, { lmSuppressShortcuts: true, pending: 0, kernel: "alive", hellos: 0 });
  const part = (name) => root.querySelector(`.survey-${name}`);
  const write = (texts) => Object.entries(texts).forEach(([name, text]) => (part(name).textContent = text));
  const back = part("back");
  el.append(root);

  // ---- kernel to view

  async function show() {
    const mine = ++loading;
    const asked = model.get("question");
    const images = model.get("pictures").map((src) => make("img", "picture", { alt: "", draggable: false, src }));
    try {
      await Promise.all(images.map((image) => image.decode()));
    } catch {
      if (mine === loading) done("The pictures cannot be shown. Run this cell again.");
      return;
    }
    if (mine !== loading) return;
    question = asked;
    const hadFocus = root.contains(document.activeElement);
    part("body").hidden = question.finished;
    part("end").hidden = !question.finished;
    (question.finished ? writeEnd : writeQuestion)(images);
    if (hadFocus) root.focus({ preventScroll: true }); // a removed button takes the focus with it, and keys go astray
    Object.assign(part("bar"), { max: question.total, value: question.answered });
    write({ rater: `Rater: ${question.rater}` });
    const place = question.number ?? question.total;
    back.disabled = place === 0;
    const state = question.finished ? "finished" : "question";
    Object.assign(root.dataset, { state, turn: question.turn, number: place + 1, kernel: "alive" });
    done(question.error);
    try {
      if (!question.error) model.send({ type: "shown", turn: question.turn });
    } catch {
      // Without a kernel, as in a saved page. A choice will say so.
    }
  }

  function writeQuestion(images) {
    const { given, letters, step, total } = question;
    part("given").replaceChildren(...given.map((title, i) => card("figure", "face", images[i], title)));
    const results = [...letters].map((letter, i) => {
      const values = { type: "button", ariaLabel: `Result ${letter}` };
      return card("button", "result", images[given.length + i], letter, values);
    });
    part("results").replaceChildren(...results);
    part("step").dataset.step = step; // in another colour: the pictures stay, only the question changes
    write({
      task: question.task,
      step: `${step} of ${question.steps} · ${question.criterion}`,
      asked: question.prompt,
      count: `Question ${question.number + 1} of ${total}`,
      keys: `Keys: 1–${letters.length} or A–${letters.at(-1)} choose, Backspace goes back`,
    });
  }

  function writeEnd() {
    const { total, rater, file } = question;
    const stored = `All ${total} answers are stored in ${file}.`;
    write({ thanks: `Thank you, ${rater}!`, file: stored, count: `${total} of ${total} answered`, keys: "" });
  }

  function done(error) {
    waiting = null;
    say(error, Boolean(error));
    mark();
  }

  function say(text, isError = false) {
    if (part("status").textContent !== text) write({ status: text });
    part("status").classList.toggle("survey-error", isError);
  }

  function mark() {
    root.dataset.pending = waiting ? 1 : 0;
    root.querySelectorAll(".survey-result").forEach((node, i) => {
      node.classList.toggle("survey-chosen", waiting?.choice === i);
      node.ariaDisabled = Boolean(waiting);
    });
  }

  function onMessage(message) {
    if (message.type === "hello") root.dataset.hellos = Number(root.dataset.hellos) + 1;
  }

  // ---- view to kernel

  /** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
  function send(message) {
    try {
      model.send(message);
      return true;
    } catch {
      root.dataset.kernel = "gone";
      done(`The kernel has stopped. Run this cell again: it goes on here, all answers so far are in ${question.file}.`);
      return false;
    }
  }

  function tell(message, choice = null) {
    if (waiting) return;
    waiting = { choice, since: performance.now() };
    say("");
    if (send({ ...message, turn: question.turn })) mark();
  }

  const choose = (choice) => tell({ type: "answer", choice }, choice);
  const goBack = () => back.disabled || tell({ type: "back" });

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

  // ---- keys and clicks

  function onKey(event) {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const { letters = "" } = question;
    const key = event.key.toUpperCase();
    const choice = /^[1-9]$/.test(key) ? key - 1 : key.length === 1 ? letters.indexOf(key) : -1;
    if (key === "BACKSPACE" || key === "ARROWLEFT") goBack();
    else if (choice >= 0 && choice < letters.length) choose(choice);
    else return;
    event.preventDefault();
  }

  root.addEventListener("keydown", onKey);
  root.addEventListener("click", ({ target, detail }) => {
    const button = target.closest("button");
    if (!button || detail > 1) return; // the second click of a double click would answer the next question
    button === back ? goBack() : choose([...part("results").children].indexOf(button));
  });
  model.on("change:question", show);
  model.on("msg:custom", onMessage);
  show();

  return () => {
    loading++;
    clearInterval(clock);
    clearTimeout(again);
    model.off("change:question", show);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
