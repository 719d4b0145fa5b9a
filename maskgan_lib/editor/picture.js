// The picture that the kernel makes of the mask, beside the photo: as it is, compared with it, the difference to it.

import { u8 } from "./core.js";
import { button, chooser, download, make, slider, within } from "./elements.js";
import { LIVE, MODES } from "./words.js";

export class Picture {
  #mode = "picture";
  #shown = new Map(); // data of the pictures on the screen, by trait

  constructor(editor) {
    const { size } = editor;
    this.editor = editor;
    this.before = make("img", "photo", "", { alt: "the photo", draggable: "false" });
    this.result = make("img", "photo", "", { alt: "the picture of the mask", draggable: "false" });
    const label = "difference to the photo";
    this.difference = make("canvas", "photo", "", { width: size, height: size, role: "img", "aria-label": label });
    this.split = make("div", "split");
    this.layers = within(make("div", "layers"), this.before, this.result, this.difference);
    this.stage = within(make("div", "stage"), this.layers, this.split);
    for (const name of ["pointerdown", "pointermove"]) this.stage.addEventListener(name, (event) => this.#onSplit(event));
    this.modes = Object.entries(MODES).map(([name, text]) => {
      const node = button("mode", text, `${text} (d)`, () => this.setMode(name));
      node.dataset.mode = name;
      return node;
    });
    this.comparison = slider("comparison", "Before | after", { value: 50 });
    this.comparison.input.oninput = () => this.setMode("compare");
    this.#makeControls();
    const modes = within(make("div", "cluster"), ...this.modes);
    const controls = [modes, this.comparison.node, this.method.node, this.live.node, this.renderButton, this.keeping];
    this.node = within(make("div", "side right"), this.stage, within(make("div", "below"), ...controls));
    editor.on("zoom", () => this.#place());
    editor.on("choice", () => this.#showControls());
    editor.on("state", () => {
      this.#showControls();
      this.show();
    });
  }

  #makeControls() {
    const { editor } = this;
    this.live = chooser("live", "Render", LIVE);
    this.live.select.onchange = () => {
      editor.set("live", this.live.select.value);
      editor.emit("choice");
      if (this.live.select.value !== "button") editor.command("render");
    };
    const { methods } = editor.state;
    const names = methods.map((name) => [name, name]);
    this.method = chooser("method", "Method", names);
    this.method.node.title = "What makes the picture of the mask";
    this.method.node.hidden = methods.length < 2;
    const { select } = this.method;
    editor.slides(select, (options) => editor.command("choose_method", { name: select.value }, options));
    const title = "Make a picture of the mask (Enter)";
    this.renderButton = button("render", "Render", title, () => editor.command("render"));
    this.keep = make("input", "keep", "", { type: "checkbox" });
    this.strength = slider("strength", "Strength", { value: 100 });
    const setKeep = (options) =>
      editor.command("set_keep", { strength: this.keep.checked ? this.strength.input.value / 100 : null }, options);
    this.keep.onchange = () => setKeep();
    editor.slides(this.strength.input, (options) => {
      this.keep.checked = true;
      setKeep(options);
    });
    const keepTitle = "Outside the edit the photo's own pixels stay";
    const label = make("label", "field", "", { title: keepTitle });
    within(label, this.keep, make("span", "field-name", "Keep what was not edited"));
    this.keeping = within(make("div", "field"), label, this.strength.node);
  }

  #showControls() {
    const { model, kernel, state } = this.editor;
    this.live.select.value = model.get("live");
    this.renderButton.hidden = model.get("live") !== "button";
    if (!kernel.isWaitingFor("choose_method")) this.method.select.value = state.method;
    this.keep.checked = state.keep !== null;
    const { input } = this.strength;
    if (state.keep !== null && document.activeElement !== input) input.value = Math.round(state.keep * 100);
  }
  allowRender(is) {
    this.renderButton.disabled = !is;
  }

  setMode(name) {
    this.#mode = name;
    this.editor.root.dataset.viewMode = name;
    const share = name === "compare" ? this.comparison.input.value : 0;
    this.result.style.clipPath = `inset(0 0 0 ${share}%)`;
    this.split.hidden = this.comparison.node.hidden = name !== "compare";
    this.difference.hidden = name !== "difference";
    this.modes.forEach((node) => node.setAttribute("aria-pressed", node.dataset.mode === name));
    this.#showDifference();
    this.#place();
  }
  nextMode() {
    const names = Object.keys(MODES);
    this.setMode(names[(names.indexOf(this.#mode) + 1) % names.length]);
  }

  /** Zoomed and moved as the mask is. */
  #place() {
    const { at, transform } = this.editor.stage;
    this.layers.style.transform = transform;
    this.split.style.left = `${100 * (at.x + (at.zoom * this.comparison.input.value) / 100)}%`;
  }
  #onSplit(event) {
    if (this.#mode !== "compare" || !event.buttons) return;
    event.preventDefault();
    const frame = this.layers.getBoundingClientRect();
    this.comparison.input.value = 100 * Math.max(0, Math.min(1, (event.clientX - frame.left) / frame.width));
    this.setMode("compare");
  }

  /** Shows what the kernel has sent. */
  async show() {
    const { root, stage } = this.editor;
    const files = [this.#showFile([this.result], "picture"), this.#showFile([stage.photo, this.before], "photo")];
    const [changed] = await Promise.all(files);
    this.#showDifference();
    if (changed) root.dataset.shown = Number(root.dataset.shown) + 1;
  }
  async #showFile(images, name) {
    const data = this.editor.model.get(name);
    const bytes = u8(data);
    if (this.#shown.get(name) === data || !bytes.length) return false;
    this.#shown.set(name, data);
    const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    const probe = Object.assign(new Image(), { src: url });
    try {
      await probe.decode();
      if (this.#shown.get(name) !== data) return false; // a newer one is on its way
      for (const image of images) image.src = url;
      await Promise.all(images.map((image) => image.decode()));
      return true;
    } catch {
      return false;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  /** The largest difference of the three colours, three times as bright. */
  #showDifference() {
    const { before, result, difference } = this;
    const { size } = this.editor;
    if (this.#mode !== "difference" || !result.naturalWidth || !before.naturalWidth) return;
    const [a, b] = [result, before].map((image) => {
      const copy = new OffscreenCanvas(size, size).getContext("2d", { willReadFrequently: true });
      copy.drawImage(image, 0, 0, size, size);
      return copy.getImageData(0, 0, size, size).data;
    });
    const out = new ImageData(size, size);
    for (let i = 0; i < out.data.length; i += 4) {
      const most = Math.max(...[0, 1, 2].map((k) => Math.abs(a[i + k] - b[i + k])));
      out.data.set([3 * most, 3 * most, 3 * most, 255], i);
    }
    difference.getContext("2d").putImageData(out, 0, 0);
  }

  save() {
    const bytes = u8(this.editor.model.get("picture"));
    if (!bytes.length) return this.editor.say("There is no picture yet: render one first.", true);
    download("face.jpg", new Blob([bytes], { type: "image/jpeg" }));
  }
}
