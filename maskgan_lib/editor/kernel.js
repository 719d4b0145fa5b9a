// What the view and the kernel say to each other: one message on its way, and the newest mask wins.

import { merge, rle, same, u8, unrle } from "./core.js";

const PATIENCE = 2; // seconds until a waiting person is told why
const LONG = 10; // seconds until a stopped kernel is more likely than a busy one

/**
 * Keeps data-pending, -kernel, -hellos and -latency of `root`.
 *
 * isDrawing()                  whether a stroke is being drawn: commands wait for its end
 * takeOver(labels, answered)   the mask as the kernel has it, with what has been drawn here since
 * onSend(name)                 a command leaves, or a mask: "edit"
 * onSettle(isFlying)           what is on its way has changed
 * onGallery(notes, buffers)    the session's results: of each a small picture and a mask
 * say(text, isError)           something for the person who waits
 */
export function connect({ model, root, sheet, classes, isDrawing, takeOver, onSend, onSettle, onGallery, say }) {
  const view = Math.random().toString(36).slice(2, 10); // two views of one model must not take each other's answers
  let synced = sheet.labels.slice(); // what the kernel had last, as far as is known here
  let known = u8(model.get("edit")).slice(); // the bytes of `edit` that have been dealt with
  let sent = 0;
  let flight = null; // { n, isEdit, since, isStep, after }
  let newer = false; // whether the mask changed after it was sent
  let queue = []; // commands that wait for their turn

  const isIdle = () => !(flight || newer || isDrawing() || queue.length);
  function settle() {
    root.dataset.pending = Number(!isIdle());
    onSettle(Boolean(flight));
  }

  /** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
  function tell(message, buffers) {
    try {
      model.send(message, undefined, buffers);
      return true;
    } catch {
      flight = null;
      newer = false;
      queue = [];
      root.dataset.kernel = "gone";
      const saved = model.get("state").autosaved;
      const then = saved ? "it goes on from the autosave." : "download the mask first (Files, below).";
      say(`The kernel has stopped or was restarted. Run this cell again: ${then}`, true);
      settle();
      return false;
    }
  }

  /** The mask has changed here. */
  function push() {
    newer = true;
    next();
  }

  /**
   * Asks for a command of the session. Of those with the same `replace`, a slider's, only the last one counts.
   * `isStep`: whether what it does to the mask can be undone; `after` is called when it is done.
   */
  function command(name, args = {}, { replace = "", buffers, isStep = true, after } = {}) {
    if (replace) queue = queue.filter((other) => other.replace !== replace);
    queue.push({ name, args, buffers, isStep, after, replace });
    next();
  }

  function next() {
    if (!flight && newer) sendEdit();
    else if (!flight && queue.length && !isDrawing()) sendCommand(queue.shift());
    else if (flight) tell({ type: "ping" });
    settle();
  }

  function sendEdit() {
    if (!tell({ type: "ping" })) return;
    onSend("edit");
    known = rle(sheet.labels);
    synced = sheet.labels.slice();
    newer = false;
    flight = { n: ++sent, isEdit: true, since: performance.now() };
    model.set({ edit: new DataView(known.buffer), seq: [view, flight.n] });
    model.save_changes();
  }

  function sendCommand({ name, args, buffers, isStep, after }) {
    onSend(name);
    flight = { n: ++sent, isEdit: false, since: performance.now(), isStep, after };
    tell({ type: "command", view, n: flight.n, name, arguments: args }, buffers);
  }

  /** What `done` answers here: { n, isEdit, isStep, after, error } if it is news to this view, or null. */
  function answer() {
    const [name, n, error, milliseconds] = model.get("done");
    if (!flight || name !== view || n !== flight.n) {
      if (name === "" && error) say(error, true);
      return null;
    }
    const answered = { ...flight, error };
    flight = null;
    root.dataset.kernel = "alive";
    const took = performance.now() - answered.since;
    root.dataset.latency = Math.round(took);
    say(error ?? `${took.toFixed(0)} ms, of which the kernel took ${milliseconds.toFixed(0)} ms`, Boolean(error));
    return answered;
  }

  /** Takes over the kernel's mask, unless one from here is on its way; `answered` is what came with it. */
  function pull(answered = null) {
    const bytes = u8(model.get("edit"));
    if (flight?.isEdit || same(bytes, known)) return;
    let theirs;
    try {
      theirs = unrle(bytes, sheet.labels.length, classes);
    } catch (error) {
      return say(error.message, true);
    }
    known = bytes.slice();
    const merged = merge(synced, sheet.labels, theirs);
    synced = theirs;
    takeOver(merged, answered);
    if (!same(merged, theirs)) newer = true;
    if (newer) next();
  }

  function onMessage(message, buffers) {
    if (message.type === "hello") {
      root.dataset.hellos = Number(root.dataset.hellos) + 1;
      if (!flight) root.dataset.kernel = "alive";
    } else if (message.type === "gallery" && message.view === view) onGallery(message.notes, buffers.map(u8));
  }

  /** Without a kernel, as in a saved page, nothing is said of it: the first stroke will. */
  function greet(message) {
    try {
      model.send(message);
    } catch {
      // As said.
    }
  }

  model.on("msg:custom", onMessage);
  // JupyterLab can deliver messages while a cell runs, but only to who has been answered on that second way before.
  greet({ type: "ready" });
  const again = setTimeout(greet, 1000, { type: "ready" });
  greet({ type: "gallery", view });

  const clock = setInterval(() => {
    if (!flight) return;
    const seconds = Math.round((performance.now() - flight.since) / 1000);
    if (seconds < PATIENCE || !tell({ type: "ping" })) return;
    root.dataset.kernel = "waiting";
    const why =
      seconds < LONG
        ? "a cell may be running"
        : "a cell is running, or the kernel has stopped: then run this cell again";
    say(`Waiting for the kernel … ${seconds} s (${why})`);
  }, 500);

  return {
    push,
    command,
    next,
    settle,
    answer,
    pull,
    isIdle,
    isBusy: () => Boolean(flight || newer),
    /** Whether the mask here is newer than the kernel's. */
    isAhead: () => Boolean(newer || flight?.isEdit),
    isCommanding: () => Boolean(queue.length || (flight && !flight.isEdit)),
    stop: () => {
      clearInterval(clock);
      clearTimeout(again);
      model.off("msg:custom", onMessage);
    },
  };
}
