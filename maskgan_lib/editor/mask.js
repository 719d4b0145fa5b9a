// The mask's side: the photo, the mask over it, a part that is being moved, and lines on top; zoomed and moved.

import { fit, follow, u8 } from "./core.js";
import { field, make, refresh, slider } from "./elements.js";
import { isAhead } from "./kernel.js";

const ARM = 0.025; // of the keyboard pen's crosshair, in sides of the picture
const GAP = 0.3; // in arms

/**
 * The mask on its canvas. `labels` is the mask: whoever changes or replaces it calls `paint`. A `preview` is seen in its
 * place, and ends when the mask is replaced.
 */
class Sheet {
  #context;
  #picture;
  #pixels;

  constructor(canvas, size, classes, labels) {
    const colors = new Uint32Array(new Uint8Array(classes.flatMap((one) => [...one.rgb, 255])).buffer); // by class
    Object.assign(this, { size, colors, labels, preview: null });
    this.#context = canvas.getContext("2d");
    this.#picture = this.#context.createImageData(size, size);
    this.#pixels = new Uint32Array(this.#picture.data.buffer);
    this.paint();
  }

  /** Shows the pixels of the box [x0, y0, x1, y1). */
  paint(x0 = 0, y0 = 0, x1 = this.size, y1 = this.size) {
    if (x1 <= x0 || y1 <= y0) return;
    const { colors, seen } = this;
    for (let y = y0; y < y1; y++)
      for (let i = y * this.size + x0; i < y * this.size + x1; i++) this.#pixels[i] = colors[seen[i]];
    this.#context.putImageData(this.#picture, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }

  replace(labels) {
    this.labels = labels;
    this.show(null);
  }
  /** Shows a mask in the place of the mask, or the mask itself again (null). */
  show(preview) {
    this.preview = preview;
    this.paint();
  }
  get seen() {
    return this.preview ?? this.labels;
  }

  /** The pixel nearest to a point. */
  pixelAt(point) {
    return point.map((v) => Math.max(0, Math.min(this.size - 1, Math.round(v))));
  }
  classAt(point) {
    const [x, y] = this.pixelAt(point);
    return this.seen[y * this.size + x];
  }
}

export function makeMask(editor) {
  const { size, classes } = editor;
  const opacity = slider("opacity", "Mask over photo", { value: 65, oninput: () => editor.refresh() });
  const transparent = { width: size, height: size, style: () => `opacity: ${opacity.value / 100}` };
  const label = () => (editor.sheet.preview ? "mask, preview" : "mask");
  const canvas = make("canvas", "mask", { ...transparent, role: "img", "aria-label": label });
  editor.sheet = new Sheet(canvas, size, classes, editor.mask("edit"));
  editor.floating = make("canvas", "mask", { ...transparent, "aria-hidden": true });
  editor.photo = make("img", "photo", { alt: "", draggable: false });
  editor.lines = makeLines(editor);
  editor.under = make("span", "under");
  const preview = make("span", "previewing", { hidden: () => !editor.sheet.preview }, "Preview");
  const layers = make("div", "layers", { style: () => placed(editor) }, editor.photo, canvas, editor.floating, editor.lines);
  editor.frame = make("div", "stage", {}, layers, editor.under, preview);
  editor.below = make("div", "below", {}, field("Mask over photo", opacity));
  return make("div", "side left", {}, editor.frame, editor.below);
}

function makeLines(editor) {
  const { size, tool, pen, model } = editor;
  const shownIf = (is) => () => (is() ? "" : "display: none");
  const [x1, y2] = [(size - 1) / 2, size - 0.5];
  const axis = make("line", "axis", { x1, x2: x1, y1: -0.5, y2, style: shownIf(() => tool.mirror) });
  editor.outline = make("polyline", "outline");
  const place = { cx: () => editor.cursor[0], cy: () => editor.cursor[1], r: () => model.get("brush") * editor.pressure };
  const circles = ["cursor", "cursor-inner"].map((name) => make("circle", name, place));
  editor.cursors = make("g", "", { style: shownIf(() => tool.shape === "brush") }, ...circles);
  const cross = () => (pen.isShown ? crosshair(editor) : undefined);
  const crosses = ["crosshair-rim", "crosshair"].map((name) => make("path", name, { d: cross }));
  const lines = [axis, editor.outline, editor.cursors, ...crosses];
  return make("svg", "lines", { viewBox: `-0.5 -0.5 ${size} ${size}`, "aria-hidden": true }, ...lines);
}

/** The keyboard's cursor, as large in any zoom. */
function crosshair({ size, at, pen }) {
  const [x, y] = pen.point;
  const [near, far] = [(GAP * ARM * size) / at.zoom, (ARM * size) / at.zoom];
  const arm = (to) => `M${x + to * near} ${y}h${to * (far - near)}M${x} ${y + to * near}v${to * (far - near)}`;
  return arm(-1) + arm(1);
}

/** A preview is of the kernel's mask: it is not shown while the mask here is another one. */
export function showPreview(editor) {
  const isSeen = u8(editor.model.get("preview")).length && !editor.stroke && !isAhead(editor);
  editor.sheet.show(isSeen ? editor.mask("preview") : null);
}

/** Shows the mask zoomed and moved. */
export function look(editor, at) {
  editor.at = fit(at);
  editor.refresh();
}
export const placed = ({ at: { zoom, x, y } }) => `transform: translate(${x * 100}%, ${y * 100}%) scale(${zoom})`;

/** Brings a pixel into the frame. */
export function lookAt(editor, point) {
  const place = point.map((v) => (v + 0.5) / editor.size);
  look(editor, follow(editor.at, place));
}

/** Where an event is in sides of a frame. */
export function inFrame(event, frame) {
  const { left, top, width, height } = frame.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}
/** The same in pixels of the mask: [0, 0] is the centre of the first. */
export function position(event, { size, floating }) {
  return inFrame(event, floating).map((v) => v * size - 0.5);
}
/** The pixel in the middle of what is seen. */
export function centre({ at: { zoom, x, y }, size }) {
  return [x, y].map((offset) => ((0.5 - offset) / zoom) * size - 0.5);
}

/** A line that is being drawn around an area. */
export function trace({ outline, root }, points) {
  outline.setAttribute("points", points.map((point) => point.join()).join(" "));
  root.dataset.corners = points.length;
}

export function showCursor(editor, point, pressure = 1) {
  const { size, sheet, titles, cursors, under } = editor;
  const inside = point.every((v) => v >= -0.5 && v < size - 0.5);
  Object.assign(editor, { cursor: point, pressure, hovered: inside ? sheet.classAt(point) : null });
  under.textContent = inside ? titles[editor.hovered] : "";
  refresh(cursors);
}
