// What the view and the kernel say to each other: one message on its way, the others wait in a queue.

import { merge, rle, same, u8, unrle } from "./core.js";

const PATIENCE = 2; // seconds until a waiting person is told why
const LONG = 10; // seconds until a stopped kernel is more likely than a busy one
/** What makes no picture where a button does. */
const ON_THE_BUTTON = ["paint", "undo", "redo", "preview_attributes"];

/** Keeps data-pending, -kernel, -hellos and -latency of the root. */
export class Kernel {
  #synced; // the mask that the kernel had last, as far as is known here
  #known; // the bytes of `edit` that have been dealt with
  #sent = 0;
  #flight = null; // what is on its way
  #queue = []; // what waits: { name, args, gesture, open, during, buffers, labels, after }
  #timers = [];

  constructor(editor) {
    this.editor = editor;
    this.model = editor.model;
    this.#synced = editor.sheet.labels.slice();
    this.#known = u8(this.model.get("edit")).slice();
    this.model.on("msg:custom", this.#onMessage);
    // JupyterLab can deliver messages while a cell runs, but only to who has been answered on that second way before.
    this.greet({ type: "ready" });
    this.#timers.push(setTimeout(() => this.greet({ type: "ready" }), 1000));
    this.#timers.push(setInterval(() => this.#wait(), 500));
  }

  get isIdle() {
    return !(this.#flight || this.#queue.length || this.editor.drawing.stroke);
  }
  /** Whether the mask here is newer than the kernel's. */
  get isAhead() {
    return [this.#flight, ...this.#queue].some((one) => one?.labels);
  }
  isWaitingFor(name) {
    return [this.#flight, ...this.#queue].some((one) => one?.name === name);
  }

  /**
   * Asks for a command of the session. Those of one gesture are one step; while they wait, only the last one counts,
   * and `open` says that it goes on. `adds`: a number that is added to that of the same command before it. `during`:
   * also while a stroke is drawn. `labels`: the mask that it makes. `after` is called when it is done.
   */
  command(name, args = {}, options = {}) {
    const last = this.#queue.at(-1);
    if (options.adds && last?.name === name) last.args[options.adds] += args[options.adds];
    else {
      const { gesture } = options;
      if (gesture) this.#queue = this.#queue.filter((one) => one.name !== name || one.gesture !== gesture);
      this.#queue.push({ name, args, ...options });
    }
    this.next();
  }

  /** The mask has been painted on here. */
  paint(gesture, open = false) {
    this.command("paint", {}, { gesture, open, during: true, labels: this.editor.sheet.labels.slice() });
  }

  next() {
    if (this.#flight) this.#tell({ type: "ping" });
    else if (this.#queue.length && (this.#queue[0].during || !this.editor.drawing.stroke)) this.#send(this.#queue.shift());
    this.settle();
  }
  settle() {
    this.editor.root.dataset.pending = Number(!this.isIdle);
    this.editor.picture.allowRender(!this.#flight);
  }

  #send(one) {
    const { name, args, labels, gesture = null, open = false } = one;
    const buffers = labels ? [rle(labels).buffer] : one.buffers;
    if (labels) this.#synced = labels;
    const waits = this.model.get("live") === "button" && ON_THE_BUTTON.includes(name);
    const draw = !this.#queue.length && !waits;
    this.#flight = { ...one, n: ++this.#sent, since: performance.now() };
    const view = this.editor.name;
    this.#tell({ type: "command", view, n: this.#sent, name, arguments: args, gesture, open, draw }, buffers);
  }

  /** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
  #tell(message, buffers) {
    try {
      this.model.send(message, undefined, buffers);
      return true;
    } catch {
      this.#flight = null;
      this.#queue = [];
      this.editor.root.dataset.kernel = "gone";
      const saved = this.editor.state.autosaved;
      const then = saved ? "it goes on from the autosave." : "download the mask first (Files, below).";
      this.editor.say(`The kernel has stopped or was restarted. Run this cell again: ${then}`, true);
      this.settle();
      return false;
    }
  }

  /** Without a kernel, as in a saved page, nothing is said of it: the first stroke will. */
  greet(message) {
    try {
      this.model.send(message);
    } catch {
      // As said.
    }
  }

  /** What `done` answers, with its error, if it is news to this view, or null. */
  answer() {
    const { root, name } = this.editor;
    const [view, n, error, milliseconds] = this.model.get("done");
    if (view !== name || n !== this.#flight?.n) {
      if (view === "" && error) this.editor.say(error, true);
      return null;
    }
    const answered = { ...this.#flight, error };
    this.#flight = null;
    const took = Math.round(performance.now() - answered.since);
    Object.assign(root.dataset, { kernel: "alive", latency: took });
    const text = error ?? `${took} ms, of which the kernel took ${milliseconds.toFixed(0)} ms`;
    this.editor.say(text, Boolean(error));
    return answered;
  }

  /** The kernel will have this mask after what has been asked for. */
  expect(labels) {
    this.#synced = labels.slice();
  }

  /** Takes over the kernel's mask with what has been drawn here since, unless one from here is on its way. */
  pull(refused = false) {
    const { sheet, classes } = this.editor;
    const bytes = u8(this.model.get("edit"));
    if (this.#flight?.labels || (same(bytes, this.#known) && !refused)) return;
    const theirs = unrle(bytes, sheet.labels.length, classes.length);
    const merged = (mine) => merge(this.#synced, mine, theirs);
    for (const one of this.#queue) if (one.labels) one.labels = merged(one.labels);
    const labels = merged(sheet.labels);
    this.#known = bytes.slice();
    this.#synced = theirs;
    if (!same(labels, sheet.labels)) sheet.replace(labels);
  }

  #onMessage = (message, buffers) => {
    const { root, name, thumbs } = this.editor;
    if (message.type === "hello") {
      root.dataset.hellos = Number(root.dataset.hellos) + 1;
      if (!this.#flight) root.dataset.kernel = "alive";
    } else if (message.type === "thumbs" && message.view === name) thumbs.take(message.keys, buffers.map(u8));
  };

  #wait() {
    if (!this.#flight) return;
    const seconds = Math.round((performance.now() - this.#flight.since) / 1000);
    if (seconds < PATIENCE || !this.#tell({ type: "ping" })) return;
    this.editor.root.dataset.kernel = "waiting";
    const long = "a cell is running, or the kernel has stopped: then run this cell again";
    this.editor.say(`Waiting for the kernel … ${seconds} s (${seconds < LONG ? "a cell may be running" : long})`);
  }

  stop() {
    this.#timers.forEach(clearInterval); // which ends a timeout, too
    this.model.off("msg:custom", this.#onMessage);
  }
}
