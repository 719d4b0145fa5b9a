// Shapes by MaskVAE: sliders of directions, a blend with another face's mask, a random edit.

import { button, make, panel, slider, within } from "./elements.js";
import { Strip } from "./faces.js";

export class Shape {
  #towards; // the face that the mask is blended with

  constructor(editor) {
    this.editor = editor;
    this.#towards = Math.min(1, editor.state.faces.length - 1);
    this.directions = editor.state.directions.map((name) => this.#direction(name));
    this.share = slider("share", "How far");
    const { input } = this.share;
    editor.slides(input, (options) =>
      editor.command("interpolate", { face: this.#towards, share: input.value / 100 }, options),
    );
    const isChosen = (i) => i === this.#towards;
    const faces = new Strip(editor, "towards", "Blend with", isChosen, (i) => {
      this.#towards = i;
      input.value = 0;
    });
    const random = button("action", "Random edit", "A random change that keeps the mask plausible", () =>
      editor.command("random_edit", { seed: Math.floor(Math.random() * 2 ** 31) }),
    );
    this.node = panel(
      "shape-panel",
      "Shape (MaskVAE)",
      false,
      within(make("div", "directions"), ...this.directions.map((one) => one.node)),
      make("p", "note", "Blend the mask with that of another face:"),
      faces.node,
      within(make("div", "below"), this.share.node, random),
    );
    editor.on("state", () => this.#show());
  }

  #direction(name) {
    const { input, node } = slider("direction", name.replaceAll("_", " "), { min: -100, max: 100 });
    input.dataset.direction = name;
    this.editor.slides(input, (options) =>
      this.editor.command("move_latent", { direction: name, amount: input.value / 100 }, options),
    );
    return { name, input, node };
  }

  #show() {
    const { sliders, blend } = this.editor.state;
    const put = (input, share) => document.activeElement === input || (input.value = 100 * share);
    for (const { name, input } of this.directions) put(input, sliders[name] ?? 0);
    put(this.share.input, blend[this.#towards] ?? 0);
  }
}
