// Mouse, pen and fingers on the mask: they draw, move a part, zoom and pan.

import { pinched, zoomAt } from "./core.js";

export class Pointer {
  spaced = false; // whether the space bar is down, which pans
  #restsAt = []; // where the pointer was last, on the screen
  #fingers = new Map();

  constructor(editor) {
    this.editor = editor;
    const { frame, under } = editor.stage;
    frame.addEventListener("pointerdown", (event) => this.#onDown(event));
    frame.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
      frame.addEventListener(name, (event) => this.#onEnd(event));
    frame.addEventListener("pointerleave", () => (under.textContent = ""));
    for (const node of [frame, editor.picture.stage])
      node.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
  }

  get #spots() {
    return [...this.#fingers.values()].map((event) => this.editor.stage.inFrame(event));
  }
  #radiusOf({ pointerType, pressure }) {
    return this.editor.model.get("brush") * (pointerType === "pen" && pressure ? 0.5 + pressure : 1);
  }

  #onDown(event) {
    const { drawing, stage, root, pen, tools } = this.editor;
    pen.lift();
    this.#fingers.set(event.pointerId, event);
    if (event.pointerType === "touch" && this.#fingers.size === 2) {
      if (drawing.stroke) drawing.cancel();
      return drawing.begin("pinch", [0, 0], { from: this.#spots, at: stage.at });
    }
    if (drawing.stroke || this.#fingers.size > 1 || ![0, 1].includes(event.button)) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    root.dataset.pointer = event.pointerType;
    stage.frame.setPointerCapture(event.pointerId);
    const point = stage.position(event);
    pen.hide(point);
    stage.showCursor(point, this.#radiusOf(event));
    const pointer = event.pointerId;
    if (event.button === 1 || this.spaced)
      drawing.begin("pan", point, { pointer, from: stage.inFrame(event), at: stage.at });
    else if (event.altKey) tools.chooseClass(this.editor.sheet.classAt(point));
    else if (tools.chosen.shape === "move") this.#grab(event, point);
    else if (tools.chosen.shape === "polygon" && event.detail > 1) drawing.finish(true);
    else drawing.touch(point, this.#radiusOf(event), stage.closing, { pointer, straight: event.shiftKey });
  }
  #grab(event, point) {
    const { drawing, moving } = this.editor;
    drawing.applyPreview();
    const held = moving.grab(point, event.target.dataset?.handle);
    if (held) drawing.begin("move", point, { pointer: event.pointerId, ...held });
  }

  #onMove(event) {
    const { drawing, stage, root, pen, moving } = this.editor;
    if (this.#fingers.has(event.pointerId)) this.#fingers.set(event.pointerId, event);
    const point = stage.position(event);
    // A browser reports a move, too, when something moves under a pointer that rests.
    const rests = event.screenX === this.#restsAt[0] && event.screenY === this.#restsAt[1];
    this.#restsAt = [event.screenX, event.screenY];
    if (pen.isDown || (rests && root.dataset.pen)) return;
    pen.hide(point);
    stage.showCursor(point, this.#radiusOf(event));
    const { stroke } = drawing;
    if (stroke?.kind === "pinch" && this.#fingers.size === 2)
      return stage.show(pinched(stroke.at, stroke.from, this.#spots));
    if (!stroke) return drawing.lead(point);
    if (event.pointerId !== stroke.pointer) return;
    if (stroke.kind === "pan") {
      const [x, y] = stage.inFrame(event);
      stage.show({ ...stroke.at, x: stroke.at.x + x - stroke.from[0], y: stroke.at.y + y - stroke.from[1] });
    } else if (stroke.kind === "move") moving.drag(stroke, point);
    else {
      const parts = event.getCoalescedEvents?.() ?? [];
      drawing.draw((parts.length ? parts : [event]).map((part) => [stage.position(part), this.#radiusOf(part)]));
    }
  }

  #onEnd(event) {
    const { drawing, moving } = this.editor;
    this.#fingers.delete(event.pointerId);
    const { stroke } = drawing;
    if (!stroke || (stroke.kind === "pinch" ? this.#fingers.size : event.pointerId !== stroke.pointer)) return;
    if (stroke.kind !== "move") return drawing.lift(this.#radiusOf(event));
    drawing.drop();
    moving.drop(stroke);
  }

  #onWheel(event) {
    const { root, stage, tools } = this.editor;
    if (!root.contains(document.activeElement) && !event.ctrlKey) return; // the page scrolls
    const by = event.deltaY || event.deltaX;
    const spot = stage.inFrame(event, event.currentTarget.getBoundingClientRect());
    if (event.shiftKey) tools.growBrush(-0.1 * Math.sign(by));
    else if (by > 0 && stage.at.zoom === 1) return;
    else stage.show(zoomAt(stage.at, spot, Math.exp(-by / 400)));
    event.preventDefault();
  }
}
