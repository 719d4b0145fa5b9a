// What the parts of one view share. They hear of each other through its events:
//   choice   a tool, or what it does, has been chosen       zoom     the mask is seen at another place
//   state    the kernel has said something

import { make } from "./elements.js";
import { u8, unrle } from "./core.js";

/** Commands on the mask that is seen: a preview of attributes becomes the mask before. */
const ON_WHAT_IS_SEEN = ["copy_component", "transform_component", "move_latent", "interpolate", "random_edit"];

export class Editor extends EventTarget {
  #gestures = 0;
  #original; // as it was decoded last

  constructor(model) {
    super();
    const { size, classes } = model.get("state");
    const name = Math.random().toString(36).slice(2, 10); // two views of one model must not take each other's answers
    const root = make("div", "root", "", { tabindex: 0, role: "group", "aria-label": "mask editor" });
    const seen = { pending: 0, shown: 0, hellos: 0, kernel: "alive", results: 0, preview: 0, pen: "" };
    Object.assign(root.dataset, seen, { lmSuppressShortcuts: "true" });
    Object.assign(this, { model, size, classes, name, root, titles: classes.map((one) => one.title) });
    this.status = make("p", "status", "", { role: "status", "aria-live": "polite" });
  }

  get state() {
    return this.model.get("state");
  }

  /** A trait of the model: a mask. */
  mask(name) {
    return unrle(u8(this.model.get(name)), this.size * this.size, this.classes.length);
  }

  /** The target's own mask. */
  get original() {
    const data = this.model.get("original");
    if (this.#original?.data !== data) this.#original = { data, labels: this.mask("original") };
    return this.#original.labels;
  }

  on(name, act) {
    this.addEventListener(name, act);
  }
  emit(name) {
    this.dispatchEvent(new Event(name));
  }

  say(text, isError = false) {
    if (this.status.textContent !== text) this.status.textContent = text;
    this.status.classList.toggle("editor-error", isError);
    this.root.dataset.error = Number(isError);
  }

  /** Asks for a command of the session; see `Kernel.command`. */
  command(name, args, options) {
    this.pen.lift();
    if (ON_WHAT_IS_SEEN.includes(name)) this.attributes.apply();
    this.kernel.command(name, args, options);
  }

  undo() {
    this.pen.lift();
    if (this.drawing.stroke) return;
    if (this.attributes.isMoved) this.attributes.cancel();
    else this.#travel("undo");
  }
  redo() {
    this.pen.lift();
    if (!this.drawing.stroke) this.#travel("redo");
  }
  #travel(way) {
    if (this.state[way].count || !this.kernel.isIdle) this.command(way, { count: 1 }, { adds: "count" });
  }
  reset() {
    if (this.attributes.isMoved) this.attributes.cancel();
    this.command("reset");
  }

  newGesture() {
    return `${this.name} ${++this.#gestures}`;
  }
  /** Each drag of a slider is one gesture, and so are its arrow keys in a row. `act` gets options for `command`. */
  slides(input, act) {
    let gesture = null;
    input.onpointerdown = input.onfocus = () => (gesture = this.newGesture());
    if (input.type === "range") input.oninput = () => act({ gesture, open: true });
    input.onchange = () => act({ gesture });
  }

  /** Shows and sets a trait that both sides may change. */
  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }
}
