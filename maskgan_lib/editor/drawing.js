// What the tools do to the mask, at points of it: pointer and keyboard draw by the same rules.

import { capsule, flood, mirrorInk, mirrorPoint, polygon } from "./core.js";

/**
 * chosen          what is chosen, see `tools.js`
 * ink()           the ink that is chosen
 * pick(value)     a class has been picked
 * trace(points)   shows a line that is being drawn around an area
 * onTouch()       the mask that is seen is about to be painted on
 * onBegin()       a stroke begins: nothing else happens until its end
 * onProgress()    the brush has changed the mask
 * onEnd(before)   the stroke has ended; `before` is the mask before it
 * onCancel(kind)  it has been taken back
 */
export function makeDrawing({
  sheet,
  chosen,
  partners,
  ink,
  pick,
  trace,
  onTouch,
  onBegin,
  onProgress,
  onEnd,
  onCancel,
}) {
  const { size } = sheet;
  let stroke = null; // { kind, start, last, before, ... } while something is being drawn or moved
  let lastEnd = null; // where the last stroke ended, for straight lines
  let corners = []; // of a polygon

  /** Draws with `tool(ink, point => point)`, in the mirror first. */
  function inked(tool) {
    if (chosen.mirror) tool(mirrorInk(ink(), partners), (point) => mirrorPoint(point, size));
    tool(ink(), (point) => point);
  }
  function line(from, to, radius) {
    inked((ink, place) => sheet.paint(...capsule(sheet.labels, size, place(from), place(to), radius, ink)));
  }
  function area(points) {
    inked((ink, place) => polygon(sheet.labels, size, points.map(place), ink));
    sheet.paint();
  }

  function begin(kind, point, more = {}) {
    stroke = { kind, start: point, last: point, before: sheet.labels.slice(), ...more };
    onBegin();
  }

  /**
   * The chosen tool touches the mask. Brush, lasso and fill begin a stroke, which gets `more`; a polygon gets a
   * corner, within `closing` pixels of its first one it is closed.
   */
  function touch(point, radius, closing, more = {}) {
    const { shape } = chosen;
    if (shape === "pick") pick(sheet.classAt(point));
    else if (shape === "polygon") {
      const [first] = corners;
      const isNear = corners.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) < closing;
      if (isNear) return finish(true);
      corners.push(point);
      trace(corners);
    } else if (shape === "fill") {
      onTouch();
      begin("fill", point, more);
      inked((ink, place) => flood(sheet.labels, size, ...sheet.pixelAt(place(point)), ink));
      sheet.paint();
    } else {
      onTouch();
      begin(shape, point, { ...more, points: [] });
      draw([[point, radius]]); // a click paints, too
    }
  }

  /** The stroke goes on along [[point, radius], ...]; a straight one goes to the last of them. */
  function draw(steps) {
    const { kind, straight, start, before, points } = stroke;
    const [end, endRadius] = steps.at(-1);
    if (kind === "lasso") {
      points.push(end);
      trace(points);
    }
    if (kind !== "brush") return;
    if (straight) {
      sheet.replace(before.slice());
      line(start, end, endRadius);
    } else
      for (const [point, radius] of steps) {
        line(stroke.last, point, radius);
        stroke.last = point;
      }
    stroke.last = end;
    onProgress();
  }

  /** Ends the stroke. */
  function lift(radius) {
    const { kind, straight, start, last, before, points } = stroke;
    const isClick = Math.hypot(last[0] - start[0], last[1] - start[1]) < 1;
    if (kind === "brush" && straight && lastEnd && isClick) line(lastEnd, start, radius);
    if (kind === "brush") lastEnd = last;
    if (kind === "lasso") {
      trace([]);
      if (points.length > 2) area(points);
    }
    stroke = null;
    onEnd(before);
  }

  /** Takes the stroke back. */
  function cancel() {
    const { before, kind } = stroke;
    stroke = null;
    sheet.replace(before);
    trace([]);
    onCancel(kind);
  }

  /** Ends a polygon: fills it, or forgets it. */
  function finish(fill = false) {
    const points = corners;
    corners = [];
    trace([]);
    if (!fill || points.length < 3) return;
    onTouch();
    const before = sheet.labels.slice();
    area(points);
    onEnd(before);
  }

  return {
    begin,
    touch,
    draw,
    lift,
    cancel,
    finish,
    /** Ends a stroke that paints nothing here. */
    drop: () => (stroke = null),
    stroke: () => stroke,
    corners: () => corners,
    /** Leads the line of a polygon to where the next corner may come. */
    lead: (point) => corners.length && trace([...corners, point]),
    takeCornerBack: () => {
      corners.pop();
      trace(corners);
    },
  };
}
