// Attributes that a mask is given or loses: the kernel makes a preview of it, which is then applied or dropped.

import { same } from "./core.js";
import { button, make, panel, slider, within } from "./elements.js";
import { ATTRIBUTES } from "./words.js";

const SHOWN = "Press what the face should be, or drag: the mask shows a preview. Several can be moved at once.";

export class Attributes {
  constructor(editor) {
    this.editor = editor;
    this.controls = editor.state.attributes.map((name) => this.#control(name));
    this.applyButton = button("apply", "Apply", "Make the preview the mask, and its picture (Enter)", () => this.apply());
    this.cancelButton = button("action", "Cancel", "Leave the mask as it was (Esc)", () => this.cancel());
    this.node = panel(
      "attributes",
      "Attributes (SeCGAN)",
      true,
      make("p", "note", SHOWN),
      within(make("div", "attribute-fields"), ...this.controls.map((one) => one.node)),
      within(make("div", "below"), this.applyButton, this.cancelButton),
    );
    this.node.hidden = !this.controls.length;
    this.#showPlaces();
    editor.on("state", () => this.show());
  }

  #control(name) {
    const title = name.replaceAll("_", " ");
    const { input } = slider("attribute", title, { min: -100, max: 100 });
    input.dataset.attribute = name;
    input.oninput = () => this.#preview();
    const ends = [-100, 100].map((value, i) => {
      const does = i ? "Give the face this attribute" : "Take this attribute away";
      const node = button("end", ATTRIBUTES[name][i], `${does} (${title}); once more: leave it as it is`, () => {
        input.value = Number(input.value) === value ? 0 : value;
        this.#preview();
      });
      node.dataset.value = value;
      return node;
    });
    const group = make("div", "attribute-field", "", { role: "group", "aria-label": title });
    return { name, input, ends, node: within(group, ends[0], input, ends[1]) };
  }

  get #moved() {
    return this.controls.filter(({ input }) => Number(input.value));
  }
  get isMoved() {
    return this.#moved.length > 0;
  }
  get amounts() {
    return Object.fromEntries(this.#moved.map(({ name, input }) => [name, input.value / 100]));
  }
  /** "80% smiling", or that nothing changes. */
  #inWords({ name, input }) {
    const value = Number(input.value);
    return value ? `${Math.abs(value)}% ${ATTRIBUTES[name][Number(value > 0)]}` : "as it is";
  }

  #showPlaces() {
    for (const one of this.controls) {
      one.input.setAttribute("aria-valuetext", this.#inWords(one));
      for (const end of one.ends) end.setAttribute("aria-pressed", end.dataset.value === one.input.value);
    }
    this.applyButton.disabled = this.cancelButton.disabled = !this.isMoved;
  }
  #put(places) {
    for (const { name, input } of this.controls) input.value = Math.round(100 * (places[name] ?? 0));
    this.#showPlaces();
  }
  /** The controls as the kernel has them, unless something is on its way to it. */
  show() {
    if (this.editor.kernel.isIdle) this.#put(this.editor.state.amounts);
  }
  /** The controls at rest: the mask has got, or lost, what they asked for. */
  rest() {
    this.#put({});
  }

  #ask(amounts, after) {
    this.editor.command("preview_attributes", { amounts }, { gesture: "preview", after });
  }
  #preview() {
    this.#showPlaces();
    if (this.isMoved) this.#ask(this.amounts, () => this.#sayPreview());
    else this.cancel();
  }
  #sayPreview() {
    const { sheet } = this.editor;
    const words = this.#moved.map((one) => this.#inWords(one)).join(", ");
    const then = "Apply (Enter) makes it the mask, Cancel (Esc) leaves the mask as it was.";
    if (words && same(sheet.seen, sheet.labels))
      this.editor.say(`The mask stays as it is with ${words}: there may be no more of it to change.`);
    else if (words) this.editor.say(`Preview: ${words}. ${then}`);
  }
  /** Makes what is previewed the mask; nothing if nothing is. */
  apply() {
    if (!this.isMoved) return;
    const { amounts } = this;
    this.rest();
    this.editor.command("move_attributes", { amounts });
  }
  cancel() {
    this.rest();
    this.editor.sheet.show(null);
    this.#ask({}, () => this.editor.say("The mask is as it was."));
  }
}
