// What mouse, pen, fingers and keys do: they draw, move a part, zoom and pan.

import { pinched, zoomAt } from "./core.js";
import { applyAttributes, begin, cancel, cancelAttributes, choose, chooseClass, chooseShape } from "./drawing.js";
import { command, draw, finishPolygon, hidePen, isMoved, lead, lift, liftPen, movePen } from "./drawing.js";
import { penState, pressPen, toggleInk, touch, travel } from "./drawing.js";
import { inFrame, look, position, showCursor, trace } from "./mask.js";
import { drag, grab, letGo, nudge } from "./moving.js";
import { nextMode } from "./picture.js";
import { SHOWING_ALL, growBrush } from "./tools.js";
import { INKS, KEYS, SHAPES } from "./words.js";

// ---- pointers

/** How many times as wide as the brush the pen of a tablet paints. */
const pressureOf = ({ pointerType, pressure }) => (pointerType === "pen" && pressure ? 0.5 + pressure : 1);
const radiusOf = (editor, event) => editor.model.get("brush") * pressureOf(event);
const spots = ({ fingers, frame }) => [...fingers.values()].map((event) => inFrame(event, frame));

export function listenToPointers(editor, ...stages) {
  const { frame, under } = editor;
  Object.assign(editor, { fingers: new Map(), restsAt: [] }); // where the pointer was last, on the screen
  frame.addEventListener("pointerdown", (event) => onDown(editor, event));
  frame.addEventListener("pointermove", (event) => onMove(editor, event));
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    frame.addEventListener(name, (event) => onEnd(editor, event));
  frame.addEventListener("pointerleave", () => (under.textContent = ""));
  frame.addEventListener("dblclick", () => onDouble(editor));
  for (const node of stages) node.addEventListener("wheel", (event) => onWheel(editor, event), { passive: false });
}

function onDown(editor, event) {
  const { fingers, frame, root, tool, at } = editor;
  const { pointerId: pointer, pointerType, button } = event;
  liftPen(editor);
  fingers.set(pointer, event);
  if (pointerType === "touch" && fingers.size === 2) {
    if (editor.stroke) cancel(editor);
    return begin(editor, "pinch", [0, 0], { from: spots(editor), at });
  }
  if (editor.stroke || fingers.size > 1 || ![0, 1].includes(button)) return;
  event.preventDefault();
  root.focus({ preventScroll: true });
  root.dataset.pointer = pointerType;
  frame.setPointerCapture(pointer);
  const point = position(event, editor);
  hidePen(editor, point);
  showCursor(editor, point, pressureOf(event));
  if (button === 1 || editor.isSpaced) begin(editor, "pan", point, { pointer, from: inFrame(event, frame), at });
  else if (event.altKey) chooseClass(editor, editor.sheet.classAt(point));
  else if (tool.shape === "move") grab(editor, point, pointer, event.target.dataset?.handle);
  else touch(editor, point, radiusOf(editor, event), { pointer, straight: event.shiftKey });
}

function onMove(editor, event) {
  const { fingers, frame, restsAt } = editor;
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
  const point = position(event, editor);
  // A browser reports a move, too, when something moves under a pointer that rests.
  const rests = event.screenX === restsAt[0] && event.screenY === restsAt[1];
  editor.restsAt = [event.screenX, event.screenY];
  if (penState(editor) === "down" || (rests && penState(editor))) return;
  hidePen(editor, point);
  showCursor(editor, point, pressureOf(event));
  const { stroke } = editor;
  if (!stroke) return lead(editor, point);
  if (stroke.kind === "pinch" && fingers.size === 2) return look(editor, pinched(stroke.at, stroke.from, spots(editor)));
  if (event.pointerId !== stroke.pointer) return;
  if (stroke.kind === "pan") {
    const [x, y] = inFrame(event, frame);
    look(editor, { ...stroke.at, x: stroke.at.x + x - stroke.from[0], y: stroke.at.y + y - stroke.from[1] });
  } else if (stroke.kind === "move") drag(editor, point);
  else {
    const parts = event.getCoalescedEvents?.() ?? [];
    const steps = (parts.length ? parts : [event]).map((part) => [position(part, editor), radiusOf(editor, part)]);
    draw(editor, steps);
  }
}

function onEnd(editor, event) {
  const { fingers, stroke } = editor;
  fingers.delete(event.pointerId);
  if (!stroke || (stroke.kind === "pinch" ? fingers.size : event.pointerId !== stroke.pointer)) return;
  if (stroke.kind === "move") letGo(editor, stroke);
  else lift(editor, radiusOf(editor, event));
}

/** Both clicks have set a corner, at the same place. */
function onDouble(editor) {
  editor.corners.pop();
  finishPolygon(editor, true);
}

function onWheel(editor, event) {
  const { root, at } = editor;
  if (!root.contains(document.activeElement) && !event.ctrlKey) return; // the page scrolls
  const by = event.deltaY || event.deltaX;
  if (event.shiftKey) growBrush(editor, -0.1 * Math.sign(by));
  else if (by > 0 && at.zoom === 1) return;
  else look(editor, zoomAt(at, inFrame(event, event.currentTarget), Math.exp(-by / 400)));
  event.preventDefault();
}

// ---- keys

const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }; // right, down

export function listenToKeys(editor) {
  const { root } = editor;
  const acts = actions(editor);
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook must not see keys that are meant for the editor
    const act = actOf(editor, acts, event);
    if (!act) return;
    event.preventDefault();
    act();
  });
  root.addEventListener("keyup", (event) => {
    event.stopPropagation();
    if (event.key === " ") space(editor, false);
  });
  root.addEventListener("focusout", (event) => {
    if (root.contains(event.relatedTarget)) return;
    liftPen(editor);
    hidePen(editor);
  });
  // After a click the keys go on: a button that the mouse has pressed would take the space bar for itself.
  root.addEventListener("click", (event) => {
    if (event.detail && event.target.closest("button")) root.focus({ preventScroll: true });
  });
}

/** What the keys do, by key. */
function actions(editor) {
  const { tool } = editor;
  const zoomBy = (factor) => () => look(editor, zoomAt(editor.at, [0.5, 0.5], factor));
  const acts = {
    "[": () => growBrush(editor, -0.15),
    "]": () => growBrush(editor, 0.15),
    "+": zoomBy(1.5),
    "=": zoomBy(1.5),
    "-": zoomBy(1 / 1.5),
    z: () => look(editor, SHOWING_ALL),
    m: () => choose(editor, { mirror: !tool.mirror }),
    d: () => nextMode(editor),
    x: () => tool.shape !== "move" && pressPen(editor),
    q: () => choose(editor, { only: tool.only === null ? editor.hovered : null }),
    enter: () => finish(editor),
    backspace: () => {
      editor.corners.pop();
      trace(editor, editor.corners);
    },
    escape: () => stop(editor),
  };
  for (const [name, [, key]] of Object.entries(SHAPES)) acts[key] = () => chooseShape(editor, name);
  for (const [name, [, key]] of Object.entries(INKS)) acts[key] = () => toggleInk(editor, name);
  [...KEYS].forEach((key, i) => (acts[key] = () => chooseClass(editor, i)));
  return acts;
}
function finish(editor) {
  if (editor.corners.length) finishPolygon(editor, true);
  else if (isMoved(editor)) applyAttributes(editor);
  else command(editor, "render");
}
function stop(editor) {
  if (editor.stroke) cancel(editor);
  else if (editor.corners.length) finishPolygon(editor);
  else if (isMoved(editor)) cancelAttributes(editor);
  else document.activeElement.blur();
}
function space(editor, is) {
  editor.isSpaced = is; // which pans
  editor.root.classList.toggle("editor-spaced", is);
}
function arrow(editor, [right, down], isFar) {
  const step = isFar ? Math.max(2, Math.round(editor.size / 16)) : 1;
  if (editor.tool.shape === "move") nudge(editor, { right, down }, isFar ? 5 : 1);
  else movePen(editor, step * right, step * down);
}

/** What a key does where it is pressed; nothing where the browser does something with it. */
function actOf(editor, acts, event) {
  const key = event.key.toLowerCase();
  const tag = event.target.tagName;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return () => travel(editor, event.shiftKey ? "redo" : "undo");
    return key === "y" ? () => travel(editor, "redo") : undefined;
  }
  if (event.altKey || tag === "SELECT") return undefined; // letters choose an option there
  if (key === " ") return ["BUTTON", "SUMMARY", "INPUT"].includes(tag) ? undefined : () => space(editor, true);
  if (key === "enter" && ["BUTTON", "SUMMARY"].includes(tag)) return undefined;
  if (!ARROWS[key]) return acts[key];
  if (tag === "INPUT" || editor.panels.contains(event.target)) return undefined; // they move sliders, and the page
  return () => arrow(editor, ARROWS[key], event.shiftKey);
}
