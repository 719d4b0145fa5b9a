// What the tools do to the mask, at points of it: pointer and keyboard draw by the same rules.

import { capsule, flood, mirrorInk, mirrorPoint, polygon, same } from "./core.js";

export class Drawing {
  stroke = null; // { kind, gesture, start, last, before, ... } while something is being drawn or moved
  corners = []; // of a polygon
  #lastEnd = null; // where the last stroke ended, for straight lines
  #taken = null; // { under, preview, amounts } where a preview is being painted on

  constructor(editor) {
    this.editor = editor;
  }

  /** Draws with `tool(ink, point => point)`, in the mirror first. */
  #inked(tool) {
    const { tools, classes, size } = this.editor;
    const partners = classes.map((one) => one.partner);
    if (tools.chosen.mirror) tool(mirrorInk(tools.ink(), partners), (point) => mirrorPoint(point, size));
    tool(tools.ink(), (point) => point);
  }
  #line(from, to, radius) {
    const { sheet, size } = this.editor;
    this.#inked((ink, place) => sheet.paint(...capsule(sheet.labels, size, place(from), place(to), radius, ink)));
  }
  #area(points) {
    const { sheet, size } = this.editor;
    this.#inked((ink, place) => polygon(sheet.labels, size, points.map(place), ink));
    sheet.paint();
  }

  begin(kind, point, more = {}) {
    const { sheet, kernel } = this.editor;
    const before = sheet.labels.slice();
    this.stroke = { kind, gesture: this.editor.newGesture(), start: point, last: point, before, ...more };
    kernel.settle();
  }

  /**
   * The chosen tool touches the mask. Brush, lasso and fill begin a stroke, which gets `more`; a polygon gets a
   * corner, within `closing` pixels of its first one it is closed.
   */
  touch(point, radius, closing, more = {}) {
    const { tools, sheet, size, stage } = this.editor;
    const { shape } = tools.chosen;
    if (shape === "pick") return tools.chooseClass(sheet.classAt(point));
    if (shape === "polygon") {
      const [first] = this.corners;
      const isNear = this.corners.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) < closing;
      if (isNear) return this.finish(true);
      this.corners.push(point);
      return stage.trace(this.corners);
    }
    this.#takePreview();
    this.begin(shape, point, { ...more, points: [] });
    if (shape !== "fill") return this.draw([[point, radius]]); // a click paints, too
    this.#inked((ink, place) => flood(sheet.labels, size, ...sheet.pixelAt(place(point)), ink));
    sheet.paint();
  }

  /** The stroke goes on along [[point, radius], ...]; a straight one goes to the last of them. */
  draw(steps) {
    const { kind, straight, start, before, points } = this.stroke;
    const [end, endRadius] = steps.at(-1);
    if (kind === "lasso") {
      points.push(end);
      this.editor.stage.trace(points);
    }
    if (kind !== "brush") return;
    if (straight) {
      this.editor.sheet.replace(before.slice());
      this.#line(start, end, endRadius);
    } else
      for (const [point, radius] of steps) {
        this.#line(this.stroke.last, point, radius);
        this.stroke.last = point;
      }
    this.stroke.last = end;
    if (this.editor.model.get("live") === "drawing") this.#paint(this.stroke, true);
  }

  /** Ends the stroke. */
  lift(radius) {
    const { stroke } = this;
    const { kind, straight, start, last, points } = stroke;
    const isClick = Math.hypot(last[0] - start[0], last[1] - start[1]) < 1;
    if (kind === "brush" && straight && this.#lastEnd && isClick) this.#line(this.#lastEnd, start, radius);
    if (kind === "brush") this.#lastEnd = last;
    if (kind === "lasso") {
      this.editor.stage.trace([]);
      if (points.length > 2) this.#area(points);
    }
    this.drop();
    this.#end(stroke);
  }

  /** Ends a stroke that paints nothing here. */
  drop() {
    this.stroke = null;
    this.editor.kernel.pull(); // what the kernel has changed meanwhile is taken over
    this.editor.kernel.next();
  }

  #end(stroke) {
    const { sheet } = this.editor;
    if (!same(stroke.before, sheet.labels) || stroke.isTold) this.#paint(stroke);
    else this.#applyTaken();
  }

  #paint(stroke, open = false) {
    this.#applyTaken();
    stroke.isTold = true;
    this.editor.kernel.paint(stroke.gesture, open);
  }

  /** Takes the stroke back. */
  cancel() {
    const { stroke } = this;
    const { sheet, stage, moving, attributes, root } = this.editor;
    sheet.replace(stroke.before);
    stage.trace([]);
    if (stroke.kind === "move") moving.clear();
    if (root.dataset.pen) root.dataset.pen = "up";
    this.drop();
    if (stroke.isTold) this.#paint(stroke);
    if (!this.#taken) return;
    sheet.replace(this.#taken.under);
    this.#taken = null;
    attributes.show();
    stage.showPreview();
  }

  /** Ends a polygon: fills it, or forgets it. */
  finish(fill = false) {
    const points = this.corners;
    this.corners = [];
    this.editor.stage.trace([]);
    if (!fill || points.length < 3) return;
    this.#takePreview();
    const stroke = { gesture: this.editor.newGesture(), before: this.editor.sheet.labels.slice() };
    this.#area(points);
    this.#end(stroke);
  }

  /** Leads the line of a polygon to where the next corner may come. */
  lead(point) {
    if (this.corners.length) this.editor.stage.trace([...this.corners, point]);
  }
  takeCornerBack() {
    this.corners.pop();
    this.editor.stage.trace(this.corners);
  }

  /** Who paints on a preview wants it: it becomes the mask, unless the stroke is taken back. */
  #takePreview() {
    const { sheet, attributes } = this.editor;
    if (!sheet.preview) return;
    this.#taken = { under: sheet.labels, preview: sheet.preview.slice(), amounts: attributes.amounts };
    sheet.replace(sheet.preview);
    attributes.rest();
  }
  #applyTaken() {
    const { kernel } = this.editor;
    if (!this.#taken) return;
    const { amounts, preview } = this.#taken;
    this.#taken = null;
    kernel.command("move_attributes", { amounts }, { during: true });
    kernel.expect(preview);
  }
  /** A part of a preview is about to be moved. */
  applyPreview() {
    this.#takePreview();
    this.#applyTaken();
  }
}
