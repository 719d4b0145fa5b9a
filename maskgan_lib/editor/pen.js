// The keyboard's pen: arrows move a cursor, and a key puts the chosen tool down there and lifts it again.

import { draw } from "./elements.js";

const OWNER = "keyboard"; // of a stroke, in the place of a pointer's number
const ARM = 0.025; // of the crosshair, in sides of the picture
const GAP = 0.3; // in arms

/** data-pen of the root is "up", "down", or "" when the pointer is used and the cursor is hidden. */
export class Pen {
  #point = null;

  constructor(editor) {
    this.editor = editor;
    this.lines = [draw("path", "crosshair-rim"), draw("path", "crosshair")];
    editor.stage.lines.append(...this.lines);
    editor.on("zoom", () => this.#show());
  }

  get isDown() {
    return this.editor.drawing.stroke?.pointer === OWNER;
  }
  #tell() {
    this.editor.root.dataset.pen = this.isDown ? "down" : "up";
  }
  get #radius() {
    return this.editor.model.get("brush");
  }

  /** Moves the cursor by so many pixels, at first from the middle of what is seen. */
  move(right, down) {
    const { stage, sheet, drawing } = this.editor;
    const [x, y] = this.#point ?? stage.centre;
    this.#point = sheet.pixelAt([x + right, y + down]);
    if (this.isDown) drawing.draw([[this.#point, this.#radius]]);
    this.#tell();
    stage.follow(this.#point);
    stage.showCursor(this.#point, this.#radius);
    if (!drawing.stroke) drawing.lead(this.#point);
  }

  /** Puts the tool down at the cursor, or lifts it. */
  press() {
    const { stage, drawing } = this.editor;
    if (this.isDown) return this.lift();
    if (drawing.stroke) return; // the pointer's
    this.move(0, 0);
    drawing.touch(this.#point, this.#radius, stage.closing, { pointer: OWNER });
    if (drawing.stroke?.kind === "fill") drawing.lift(this.#radius);
    this.#tell();
  }

  lift() {
    if (!this.isDown) return;
    this.editor.drawing.lift(this.#radius);
    this.#tell();
  }

  /** The pointer is used: the next arrow starts from there. */
  hide(from = this.#point) {
    this.#point = from;
    this.editor.root.dataset.pen = "";
  }

  /** Draws the cursor, as large in any zoom. */
  #show() {
    if (!this.#point) return;
    const { size, stage } = this.editor;
    const [x, y] = this.#point;
    const [near, far] = [(GAP * ARM * size) / stage.at.zoom, (ARM * size) / stage.at.zoom];
    const arms = [-1, 1].map(
      (to) => `M${x + to * near} ${y}h${to * (far - near)}M${x} ${y + to * near}v${to * (far - near)}`,
    );
    for (const node of this.lines) node.setAttribute("d", arms.join(""));
  }
}
