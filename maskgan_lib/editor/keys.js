// What the keys do.

import { zoomAt } from "./core.js";
import { INKS, KEYS, SHAPES } from "./words.js";

const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }; // right, down

export class Keyboard {
  #acts; // by key

  constructor(editor) {
    this.editor = editor;
    const { root } = editor;
    this.#acts = this.#actions();
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("keyup", (event) => {
      event.stopPropagation();
      if (event.key === " ") this.#space(false);
    });
    root.addEventListener("focusout", (event) => {
      if (root.contains(event.relatedTarget)) return;
      editor.pen.lift();
      editor.pen.hide();
    });
    // After a click the keys go on: a button that the mouse has pressed would take the space bar for itself.
    root.addEventListener("click", (event) => {
      if (event.detail && event.target.closest("button")) root.focus({ preventScroll: true });
    });
  }

  #actions() {
    const { tools, stage, pen, picture, drawing } = this.editor;
    const zoomBy = (factor) => () => stage.show(zoomAt(stage.at, [0.5, 0.5], factor));
    const acts = {
      "[": () => tools.growBrush(-0.15),
      "]": () => tools.growBrush(0.15),
      "+": zoomBy(1.5),
      "=": zoomBy(1.5),
      "-": zoomBy(1 / 1.5),
      z: () => stage.showAll(),
      m: () => tools.toggleMirror(),
      d: () => picture.nextMode(),
      x: () => tools.chosen.shape !== "move" && pen.press(),
      q: () => tools.setOnly(tools.chosen.only === null ? stage.hovered : null),
      enter: () => this.#finish(),
      backspace: () => drawing.takeCornerBack(),
      escape: () => this.#stop(),
    };
    for (const [name, [, key]] of Object.entries(SHAPES)) acts[key] = () => tools.chooseShape(name);
    for (const [name, [, key]] of Object.entries(INKS)) acts[key] = () => tools.toggleInk(name);
    [...KEYS].forEach((key, i) => (acts[key] = () => tools.chooseClass(i)));
    return acts;
  }
  #finish() {
    const { drawing, attributes } = this.editor;
    if (drawing.corners.length) drawing.finish(true);
    else if (attributes.isMoved) attributes.apply();
    else this.editor.command("render");
  }
  #stop() {
    const { drawing, attributes } = this.editor;
    if (drawing.stroke) drawing.cancel();
    else if (drawing.corners.length) drawing.finish();
    else if (attributes.isMoved) attributes.cancel();
    else document.activeElement.blur();
  }

  #onArrow([right, down], isFar) {
    const { tools, moving, pen, size } = this.editor;
    const far = isFar ? Math.max(2, Math.round(size / 16)) : 1;
    if (tools.chosen.shape === "move") moving.nudge({ right, down }, isFar ? 5 : 1);
    else pen.move(far * right, far * down);
  }
  #space(is) {
    this.editor.pointer.spaced = is;
    this.editor.root.classList.toggle("editor-spaced", is);
  }

  /** What a key does where it is pressed; nothing where the browser does something with it. */
  #actOf(event, key) {
    const { editor } = this;
    const tag = event.target.tagName;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") return () => (event.shiftKey ? editor.redo() : editor.undo());
      return key === "y" ? () => editor.redo() : undefined;
    }
    if (event.altKey || tag === "SELECT") return undefined; // letters choose an option there
    if (key === " ") return ["BUTTON", "SUMMARY", "INPUT"].includes(tag) ? undefined : () => this.#space(true);
    if (key === "enter" && ["BUTTON", "SUMMARY"].includes(tag)) return undefined;
    if (!ARROWS[key]) return this.#acts[key];
    if (tag === "INPUT" || editor.panels.contains(event.target)) return undefined; // they move sliders, and the page
    return () => this.#onArrow(ARROWS[key], event.shiftKey);
  }
  #onKey(event) {
    event.stopPropagation(); // the notebook must not see keys that are meant for the editor
    const act = this.#actOf(event, event.key.toLowerCase());
    if (!act) return;
    event.preventDefault();
    act();
  }
}
