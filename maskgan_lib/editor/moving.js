// Moving a part of the face: shown here at once, done by the kernel, which closes the hole.

import { boxOf } from "./core.js";
import { applyPreview, begin, command, drop } from "./drawing.js";
import { button, chooser, field, live, make } from "./elements.js";
import { NUDGES } from "./words.js";

const STILL = { down: 0, right: 0, scale: 1, degrees: 0 };
const radians = (degrees) => (degrees * Math.PI) / 180;

export function makeMoving(editor) {
  const box = make("polygon", "outline");
  const handles = [0, 1, 2, 3, "turn"].map((name) => make("circle", "handle", { "data-handle": name }));
  const shapes = make("g", "", {}, box, ...handles);
  editor.lines.append(live(shapes, () => showPart(editor, shapes, box, handles)));
  const select = chooser("part", "Part", () => editor.state.groups.map((name) => [name, name]), {
    value: () => editor.group ?? "",
    onchange: () => choosePart(editor, select.value),
  });
  const nudges = NUDGES.map(([text, title, by]) => button("nudge", text, title, () => nudge(editor, by)));
  const hidden = () => editor.tool.shape !== "move";
  return make("div", "moving", { hidden }, field("Part", select), make("div", "cluster", {}, ...nudges));
}

const idsOf = ({ state }, group) => state.components[group] ?? [];

function choosePart(editor, group) {
  editor.group = group || null;
  editor.refresh();
}

/** The part's box as its centre and half its sides, or null. */
function partOf(editor) {
  const { sheet, size, state, tool } = editor;
  if (!editor.group || tool.shape !== "move") return null;
  if (!state.groups.includes(editor.group)) editor.group = state.groups[0] ?? null;
  const edges = boxOf(sheet.labels, size, idsOf(editor, editor.group));
  if (!edges) return null;
  const [x0, y0, x1, y1] = edges;
  return { centre: [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2], half: [(x1 - x0) / 2, (y1 - y0) / 2] };
}

function showPart(editor, shapes, box, handles) {
  const { root, size, at, stroke } = editor;
  const { part = partOf(editor), by = STILL } = stroke ?? {};
  root.dataset.part = part ? editor.group : "";
  shapes.style.display = part ? "" : "none";
  if (!part) return;
  const [w, h] = part.half;
  const [cos, sin] = [Math.cos, Math.sin].map((f) => by.scale * f(radians(by.degrees)));
  const [cx, cy] = [part.centre[0] + by.right, part.centre[1] + by.down];
  const moved = ([x, y]) => [cx + cos * x - sin * y, cy + sin * x + cos * y];
  const corners = [-1, 1].flatMap((v) => [-v, v].map((u) => moved([-u * w, v * h])));
  box.setAttribute("points", corners.map((point) => point.join()).join(" "));
  const stem = (0.06 * size) / at.zoom / by.scale;
  [...corners, moved([0, -h - stem])].forEach(([x, y], i) => {
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: (0.014 * size) / at.zoom }))
      handles[i].setAttribute(name, value);
  });
}

/** Begins a stroke that moves what is at this point, if there is a part. */
export function grab(editor, point, pointer, handle) {
  applyPreview(editor);
  const { sheet, state } = editor;
  let part = partOf(editor);
  const isInside = part && point.every((v, k) => Math.abs(v - part.centre[k]) <= part.half[k]);
  if (handle === undefined && !isInside) {
    const clicked = sheet.classAt(point);
    const holding = state.groups.filter((name) => idsOf(editor, name).includes(clicked));
    choosePart(editor, holding.sort((a, b) => idsOf(editor, a).length - idsOf(editor, b).length)[0]);
    part = partOf(editor);
  }
  if (part) begin(editor, "move", point, { pointer, handle, part, image: cutOut(editor), by: STILL });
}
function cutOut(editor) {
  const { sheet, size, group } = editor;
  const ids = idsOf(editor, group);
  const copy = new OffscreenCanvas(size, size);
  const image = new ImageData(size, size);
  const data = new Uint32Array(image.data.buffer);
  sheet.labels.forEach((id, i) => ids.includes(id) && (data[i] = sheet.colors[id]));
  copy.getContext("2d").putImageData(image, 0, 0);
  return copy;
}

/** Takes what is held on to a point. */
export function drag(editor, point) {
  const { stroke, floating, size } = editor;
  const { handle, part, start, image } = stroke;
  const [from, to] = [start, point].map((p) => [p[0] - part.centre[0], p[1] - part.centre[1]]);
  const angle = ([x, y]) => (Math.atan2(y, x) * 180) / Math.PI;
  const grown = Math.hypot(...to) / Math.max(1, Math.hypot(...from));
  if (handle === undefined) stroke.by = { ...STILL, right: point[0] - start[0], down: point[1] - start[1] };
  else if (handle === "turn") stroke.by = { ...STILL, degrees: angle(to) - angle(from) };
  else stroke.by = { ...STILL, scale: Math.max(0.2, Math.min(5, grown)) };
  const { right, down, scale, degrees } = stroke.by;
  const [x, y] = part.centre.map((v) => v + 0.5); // a canvas counts from the first pixel's corner
  floating.width = size; // which clears it
  const pen = floating.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.translate(x + right, y + down);
  pen.rotate(radians(degrees));
  pen.scale(scale, scale);
  pen.drawImage(image, -x, -y);
  editor.refresh();
}
/** Lets go. */
export function letGo(editor, { by }) {
  drop(editor);
  const isMoving = by.right || by.down || by.scale !== 1 || by.degrees;
  if (isMoving) command(editor, "transform_component", { group: editor.group, ...by });
}
export function nudge(editor, by, times = 1) {
  if (!editor.group) return editor.say("Choose a part first: click it on the mask.", true);
  const step = Math.max(1, Math.round(editor.size / 128)) * times;
  const [right, down] = [(by.right ?? 0) * step, (by.down ?? 0) * step];
  command(editor, "transform_component", { group: editor.group, ...STILL, ...by, right, down });
}
