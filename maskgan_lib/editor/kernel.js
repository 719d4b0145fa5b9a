// What the view and the kernel say to each other: one command on its way, the others wait in a queue.

import { merge, rle, same, u8, unrle } from "./core.js";
import { download } from "./elements.js";

const PATIENCE = 2; // seconds until a waiting person is told why
const LONG = 10; // seconds until a stopped kernel is more likely than a busy one
/** What makes no picture where a button does. */
const ON_THE_BUTTON = ["paint", "undo", "redo", "preview_attributes"];

/** Begins to talk; returns what ends it. */
export function connect(editor) {
  const { model, sheet, root, thumbs } = editor;
  editor.kernel = {
    synced: sheet.labels.slice(), // the mask that the kernel had last, as far as is known here
    known: u8(model.get("edit")).slice(), // the bytes of `edit` that have been dealt with
    sent: 0,
    flight: null, // what is on its way
    queue: [], // what waits: { name, args, gesture, open, during, buffers, labels, after }
  };
  function hear({ type, keys = [], view }, files) {
    keys.forEach((key, i) => {
      thumbs.set(key, `data:image/jpeg;base64,${btoa(String.fromCharCode(...u8(files[i])))}`);
    });
    if (type === "photo" && view === editor.name) download("photo.jpg", new Blob([u8(files[0])], { type: "image/jpeg" }));
    if (type === "hello") root.dataset.hellos = Number(root.dataset.hellos) + 1;
    if (type === "hello" && !editor.kernel.flight) root.dataset.kernel = "alive";
    editor.refresh();
  }
  model.on("msg:custom", hear);
  // JupyterLab can deliver messages while a cell runs, but only to who has been answered on that second way before.
  greet(model);
  const timers = [setTimeout(() => greet(model), 1000), setInterval(() => wait(editor), 500)];
  return () => {
    timers.forEach(clearInterval); // which ends a timeout, too
    model.off("msg:custom", hear);
  };
}

/** Without a kernel, as in a saved page, nothing is said of it: the first stroke will. */
function greet(model) {
  try {
    model.send({ type: "ready" });
  } catch {
    // As said.
  }
}

export function isIdle({ kernel, stroke }) {
  return !(kernel.flight || kernel.queue.length || stroke);
}
/** Whether the mask here is newer than the kernel's. */
export function isAhead({ kernel }) {
  return [kernel.flight, ...kernel.queue].some((one) => one?.labels);
}

/**
 * Asks for a command of the session. Those of one gesture are one step; while they wait, only the last one counts, and
 * `open` says that it goes on; counts of undo and redo add up. `during`: also while a stroke is drawn. `labels`: the mask
 * that it makes. `after` is called when it is done, `failed` if it could not be.
 */
export function ask(editor, name, args = {}, options = {}) {
  const { kernel } = editor;
  const last = kernel.queue.at(-1);
  if (args.count && last?.name === name) last.args.count += args.count;
  else {
    const { gesture } = options;
    if (gesture) kernel.queue = kernel.queue.filter((one) => one.name !== name || one.gesture !== gesture);
    kernel.queue.push({ name, args, ...options });
  }
  sendNext(editor);
}

export function sendNext(editor) {
  const { flight, queue } = editor.kernel;
  if (flight) tell(editor, { type: "ping" });
  else if (queue.length && (queue[0].during || !editor.stroke)) send(editor, queue.shift());
  editor.refresh();
}

function send(editor, one) {
  const { kernel, model } = editor;
  const { name, args, labels, gesture = null, open = false } = one;
  const buffers = labels ? [rle(labels).buffer] : one.buffers;
  if (labels) kernel.synced = labels;
  const waits = model.get("live") === "button" && ON_THE_BUTTON.includes(name);
  const draw = !kernel.queue.length && !waits;
  kernel.flight = { ...one, n: ++kernel.sent, since: performance.now() };
  const { n } = kernel.flight;
  tell(editor, { type: "command", view: editor.name, n, name, arguments: args, gesture, open, draw }, buffers);
}

/** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
export function tell(editor, message, buffers) {
  try {
    editor.model.send(message, undefined, buffers);
    return true;
  } catch {
    Object.assign(editor.kernel, { flight: null, queue: [] });
    editor.root.dataset.kernel = "gone";
    const then = editor.state.autosaved ? "it goes on from the autosave." : "download the mask first (Files, below).";
    editor.say(`The kernel has stopped or was restarted. Run this cell again: ${then}`, true);
    return false;
  }
}

/** What `done` answers, with its error, if it is news to this view, or null. */
export function answer(editor) {
  const { kernel, root, model } = editor;
  const [view, n, error, milliseconds] = model.get("done");
  if (view !== editor.name || n !== kernel.flight?.n) {
    if (view === "" && error) editor.say(error, true);
    return null;
  }
  const answered = { ...kernel.flight, error };
  kernel.flight = null;
  root.dataset.kernel = "alive";
  const took = Math.round(performance.now() - answered.since);
  editor.say(error ?? `${took} ms, of which the kernel took ${milliseconds.toFixed(0)} ms`, Boolean(error));
  return answered;
}

/** Takes over the kernel's mask with what has been drawn here since, unless one from here is on its way. */
export function pull({ kernel, model, sheet, classes }, refused = false) {
  const bytes = u8(model.get("edit"));
  if (kernel.flight?.labels || (same(bytes, kernel.known) && !refused)) return;
  const theirs = unrle(bytes, sheet.labels.length, classes.length);
  const merged = (mine) => merge(kernel.synced, mine, theirs);
  for (const one of kernel.queue) if (one.labels) one.labels = merged(one.labels);
  const labels = merged(sheet.labels);
  Object.assign(kernel, { known: bytes.slice(), synced: theirs });
  if (!same(labels, sheet.labels)) sheet.replace(labels);
}

function wait(editor) {
  const { kernel, root } = editor;
  if (!kernel.flight) return;
  const seconds = Math.round((performance.now() - kernel.flight.since) / 1000);
  if (seconds < PATIENCE || !tell(editor, { type: "ping" })) return;
  root.dataset.kernel = "waiting";
  const long = "a cell is running, or the kernel has stopped: then run this cell again";
  editor.say(`Waiting for the kernel … ${seconds} s (${seconds < LONG ? "a cell may be running" : long})`);
}
