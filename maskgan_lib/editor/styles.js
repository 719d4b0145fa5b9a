// The style of another face, for the whole picture or a region of it.

import { button, chooser, make, panel, slider, within } from "./elements.js";
import { Strip } from "./faces.js";

const ONE_STYLE = "This method has one style for the whole picture";
const WHAT = "Colours, light and hair of the face that you click, for the whole picture or a part of it.";

export class Styles {
  constructor(editor) {
    this.editor = editor;
    const regions = editor.state.regions.map((name) => [name, ""]);
    this.where = chooser("where", "Where", [["", "the whole picture"], ...regions]);
    this.where.select.onchange = () => {
      this.#showMix();
      this.#show();
    };
    this.mix = slider("mix", "Mix", { value: 100 });
    editor.slides(this.mix.input, (options) => this.#choose(this.#there[0], this.mix.input.value / 100, options));
    const title = "The region looks like what is around it again";
    this.asAround = button("action", "No style of its own", title, () =>
      this.#choose(...editor.state.stylesAround[this.where.select.value]),
    );
    const isChosen = (i) => i === this.#there[0];
    this.faces = new Strip(editor, "style", "Take the style of", isChosen, (i) =>
      this.#choose(i, this.mix.input.value / 100),
    );
    this.own = make("p", "note");
    const below = within(make("div", "below"), this.where.node, this.mix.node, this.asAround);
    const nodes = [make("p", "note", WHAT), this.faces.node, below, this.own];
    this.node = panel("style-panel", "Style from another face", true, ...nodes);
    editor.on("state", () => this.#show());
  }

  /** Face and mix of the style where it is being chosen: a region without its own has that around it. */
  get #there() {
    const { regionStyles, stylesAround, style, mix } = this.editor.state;
    const region = this.where.select.value;
    return regionStyles[region] ?? stylesAround[region] ?? [style, mix];
  }
  #choose(face, mix, options) {
    this.editor.command("choose_style", { face, mix, region: this.where.select.value || null }, options);
  }

  #showMix() {
    this.mix.input.value = Math.round(this.#there[1] * 100);
  }
  /** Marks the regions that have a style of their own; a method that cannot draw them offers none. */
  #show() {
    const { regional, regionStyles, faces } = this.editor.state;
    const { select, node } = this.where;
    if (!regional) select.value = "";
    select.disabled = !regional;
    node.title = regional ? "" : ONE_STYLE;
    for (const option of [...select.options].slice(1))
      option.textContent = `only the ${option.value}${option.value in regionStyles ? " •" : ""}`;
    const own = Object.entries(regionStyles).map(
      ([name, [face, share]]) => `${name} (${faces[face]}, ${Math.round(100 * share)}%)`,
    );
    this.own.hidden = !own.length;
    const how = regional ? "In a style of their own" : `${ONE_STYLE}. Kept, but not drawn`;
    this.own.textContent = `${how}: ${own.join(", ")}.`;
    this.faces.show();
    if (document.activeElement !== this.mix.input) this.#showMix();
    this.asAround.hidden = !(select.value in regionStyles);
  }
}
