// What the tools do to the mask, at points of it: pointer and keyboard draw by the same rules. And what is chosen.

import { capsule, flood, mirrorInk, mirrorPoint, polygon, same } from "./core.js";
import { ask, isIdle, pull, sendNext } from "./kernel.js";
import { centre, lookAt, showCursor, showPreview, trace } from "./mask.js";
import { PAINTING } from "./words.js";

const BACKGROUND = 0;
const KEYBOARD = "keyboard"; // in the place of a pointer's number
/** Commands on the mask that is seen: a preview of attributes becomes the mask before. */
const ON_WHAT_IS_SEEN = ["copy_component", "transform_component", "move_latent", "interpolate", "random_edit"];

const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

// ---- strokes: editor.stroke is { kind, gesture, start, last, points, before, taken, ... } while one goes on

/** Draws with `act(ink, point => point)`, in the mirror first. */
function inked(editor, act) {
  const { tool, classes, size } = editor;
  const { only, locked } = tool;
  const allow =
    only === null && !locked.size
      ? undefined
      : new Uint8Array(256).map((_, i) => Number((only === null || i === only) && !locked.has(i)));
  const paint = { value: tool.ink === "background" ? BACKGROUND : tool.value };
  const ink = { ...(tool.ink === "original" ? { source: editor.mask("original") } : paint), allow };
  const partners = classes.map((one) => one.partner);
  if (tool.mirror) act(mirrorInk(ink, partners), (point) => mirrorPoint(point, size));
  act(ink, (point) => point);
}
function line(editor, from, to, radius) {
  const { sheet, size } = editor;
  inked(editor, (ink, place) => sheet.paint(...capsule(sheet.labels, size, place(from), place(to), radius, ink)));
}

/** A stroke that paints takes over a preview that it begins on, unless it is taken back. */
export function begin(editor, kind, point, more = {}) {
  const taken = PAINTING.includes(kind) ? takePreview(editor) : null;
  const before = editor.sheet.labels.slice();
  const gesture = editor.newGesture();
  editor.stroke = { kind, gesture, start: point, last: point, points: [], before, taken, ...more };
  editor.refresh();
}

/**
 * The chosen tool touches the mask. Brush, lasso and fill begin a stroke, which gets `more`; a polygon gets a corner,
 * near its first one it is closed.
 */
export function touch(editor, point, radius, more) {
  const { tool, sheet, size, corners, at } = editor;
  if (tool.shape === "pick") return chooseClass(editor, sheet.classAt(point));
  if (tool.shape === "polygon") {
    if (corners.length > 2 && far(point, corners[0]) < size / 60 / at.zoom) return finishPolygon(editor, true);
    corners.push(point);
    return trace(editor, corners);
  }
  begin(editor, tool.shape, point, more);
  if (tool.shape !== "fill") return draw(editor, [[point, radius]]); // a click paints, too
  inked(editor, (ink, place) => flood(sheet.labels, size, ...sheet.pixelAt(place(point)), ink));
  sheet.paint();
}

/** The stroke goes on along [[point, radius], ...]; a straight one goes to the last of them. */
export function draw(editor, steps) {
  const { stroke, sheet, model } = editor;
  const [end, endRadius] = steps.at(-1);
  if (stroke.kind === "lasso") {
    stroke.points.push(end);
    trace(editor, stroke.points);
  }
  if (stroke.kind !== "brush") return;
  if (stroke.straight) {
    sheet.replace(stroke.before.slice());
    line(editor, stroke.start, end, endRadius);
  } else
    for (const [point, radius] of steps) {
      line(editor, stroke.last, point, radius);
      stroke.last = point;
    }
  stroke.last = end;
  if (model.get("live") === "drawing") tellPainted(editor, stroke, true);
}

/** Ends the stroke. */
export function lift(editor, radius) {
  const { stroke, sheet, size } = editor;
  const { kind, straight, start, last, points } = stroke;
  if (kind === "brush") {
    if (straight && editor.lastEnd && far(last, start) < 1) line(editor, editor.lastEnd, start, radius);
    editor.lastEnd = last; // for straight lines
  }
  if (points.length > 2) {
    inked(editor, (ink, place) => polygon(sheet.labels, size, points.map(place), ink));
    sheet.paint();
  }
  if (points.length) trace(editor, []);
  drop(editor);
  if (!same(stroke.before, sheet.labels) || stroke.isTold) tellPainted(editor, stroke);
  else applyTaken(editor, stroke);
}

/** Ends a stroke that paints nothing here. */
export function drop(editor) {
  if (editor.stroke.kind === "move") editor.floating.width = editor.size; // which clears it
  editor.stroke = null;
  pull(editor); // what the kernel has changed meanwhile is taken over
  sendNext(editor);
}

function tellPainted(editor, stroke, open = false) {
  applyTaken(editor, stroke);
  stroke.isTold = true;
  const labels = editor.sheet.labels.slice();
  ask(editor, "paint", {}, { gesture: stroke.gesture, open, during: true, labels });
}

/** Takes the stroke back, and the preview that it had taken over back into view. */
export function cancel(editor) {
  const { stroke, sheet } = editor;
  sheet.replace(stroke.taken?.under ?? stroke.before);
  if (stroke.taken) editor.amounts = stroke.taken.amounts;
  trace(editor, []);
  drop(editor);
  if (stroke.isTold) tellPainted(editor, stroke);
  showPreview(editor);
  editor.refresh();
}

/** Ends a polygon: fills it, or forgets it. */
export function finishPolygon(editor, fill = false) {
  const points = editor.corners;
  editor.corners = [];
  trace(editor, []);
  if (!fill || points.length < 3) return;
  begin(editor, "polygon", points[0], { points });
  lift(editor);
}
/** Leads the line of a polygon to where the next corner may come. */
export function lead(editor, point) {
  if (editor.corners.length) trace(editor, [...editor.corners, point]);
}

// ---- previews of attributes: editor.amounts, those that are not 0, by name

function takePreview(editor) {
  const { sheet, amounts } = editor;
  if (!sheet.preview) return null;
  const taken = { under: sheet.labels, preview: sheet.preview.slice(), amounts };
  sheet.replace(sheet.preview);
  editor.amounts = {};
  return taken;
}
function applyTaken(editor, stroke) {
  const { taken } = stroke;
  if (!taken) return;
  stroke.taken = null;
  ask(editor, "move_attributes", { amounts: taken.amounts }, { during: true });
  editor.kernel.synced = taken.preview; // the kernel will have this mask then
}
/** A part of a preview is about to be moved. */
export function applyPreview(editor) {
  applyTaken(editor, { taken: takePreview(editor) });
}

export const isMoved = ({ amounts }) => Object.keys(amounts).length > 0;

/** Makes what is previewed the mask; nothing if nothing is. */
export function applyAttributes(editor) {
  const { amounts } = editor;
  if (!isMoved(editor)) return;
  editor.amounts = {};
  command(editor, "move_attributes", { amounts });
}
export function cancelAttributes(editor) {
  editor.amounts = {};
  editor.sheet.show(null);
  const after = () => editor.say("The mask is as it was.");
  command(editor, "preview_attributes", { amounts: {} }, { gesture: "preview", after });
}

// ---- commands, see `ask`

export function command(editor, name, args, options) {
  liftPen(editor);
  if (ON_WHAT_IS_SEEN.includes(name)) applyAttributes(editor);
  ask(editor, name, args, options);
}
/** "undo" or "redo". An undo drops a preview first. */
export function travel(editor, way) {
  liftPen(editor);
  if (editor.stroke) return;
  if (way === "undo" && isMoved(editor)) cancelAttributes(editor);
  else if (editor.state[way].count || !isIdle(editor)) command(editor, way, { count: 1 });
}

// ---- the keyboard's pen: arrows move a cursor, and a key puts the chosen tool down there and lifts it again

const isPenDown = ({ stroke }) => stroke?.pointer === KEYBOARD;
export const penState = (editor) => (editor.pen.isShown ? (isPenDown(editor) ? "down" : "up") : "");
const brush = ({ model }) => model.get("brush");

/** Moves the cursor by so many pixels, at first from the middle of what is seen. */
export function movePen(editor, right, down) {
  const { pen, sheet } = editor;
  const [x, y] = pen.point ?? centre(editor);
  Object.assign(pen, { point: sheet.pixelAt([x + right, y + down]), isShown: true });
  if (isPenDown(editor)) draw(editor, [[pen.point, brush(editor)]]);
  lookAt(editor, pen.point);
  showCursor(editor, pen.point);
  if (!editor.stroke) lead(editor, pen.point);
}
export function pressPen(editor) {
  if (isPenDown(editor)) return liftPen(editor);
  if (editor.stroke) return; // the pointer's
  movePen(editor, 0, 0);
  touch(editor, editor.pen.point, brush(editor), { pointer: KEYBOARD });
  if (editor.stroke?.kind === "fill") lift(editor, brush(editor));
  editor.refresh();
}
export function liftPen(editor) {
  if (isPenDown(editor)) lift(editor, brush(editor));
}
/** The pointer is used: the next arrow starts from there. */
export function hidePen(editor, from = editor.pen.point) {
  const { isShown } = editor.pen;
  Object.assign(editor.pen, { point: from, isShown: false });
  if (isShown) editor.refresh();
}

// ---- what is chosen: editor.tool is { shape, ink, value, mirror, only, locked }

export function chooseShape(editor, shape) {
  liftPen(editor);
  editor.tool.shape = shape;
  finishPolygon(editor);
  if (shape === "move") {
    hidePen(editor); // arrows move the part
    editor.group ??= editor.state.groups[0];
  }
  editor.refresh();
}
function chooseInk(editor, ink) {
  editor.tool.ink = ink;
  if (!PAINTING.includes(editor.tool.shape)) chooseShape(editor, "brush");
  editor.refresh();
}
export function toggleInk(editor, ink) {
  chooseInk(editor, editor.tool.ink === ink ? "class" : ink);
}
export function chooseClass(editor, value) {
  editor.tool.value = value;
  chooseInk(editor, "class");
}
/** Chooses more of how the tool works: mirror, and what may be painted over. */
export function choose(editor, changes) {
  Object.assign(editor.tool, changes);
  editor.refresh();
}
