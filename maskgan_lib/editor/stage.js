// The mask's side: the photo, the mask over it, a part that is being moved, and lines on top; zoomed and moved.

import { fit, follow, u8 } from "./core.js";
import { draw, make, slider, within } from "./elements.js";
import { Sheet } from "./sheet.js";

export class Stage {
  at = { zoom: 1, x: 0, y: 0 };
  hovered = null; // the class under the pointer

  constructor(editor) {
    const { size, classes } = editor;
    this.editor = editor;
    this.photo = make("img", "photo", "", { alt: "", draggable: "false" });
    this.canvas = make("canvas", "mask", "", { width: size, height: size, role: "img", "aria-label": "mask" });
    this.floating = make("canvas", "mask", "", { width: size, height: size, "aria-hidden": "true" });
    this.axis = draw("line", "axis", { x1: (size - 1) / 2, x2: (size - 1) / 2, y1: -0.5, y2: size - 0.5 });
    this.outline = draw("polyline", "outline");
    this.cursors = [draw("circle", "cursor"), draw("circle", "cursor-inner")];
    this.lines = draw("svg", "lines", { viewBox: `-0.5 -0.5 ${size} ${size}`, "aria-hidden": "true" });
    this.layers = within(make("div", "layers"), this.photo, this.canvas, this.floating, this.lines);
    this.under = make("span", "under");
    this.previewing = make("span", "previewing", "Preview", { hidden: "" });
    this.frame = within(make("div", "stage"), this.layers, this.under, this.previewing);
    this.opacity = slider("opacity", "Mask over photo", { value: 65 });
    this.opacity.input.oninput = () => {
      this.canvas.style.opacity = this.floating.style.opacity = this.opacity.input.value / 100;
    };
    this.opacity.input.oninput();
    this.below = within(make("div", "below"), this.opacity.node);
    this.node = within(make("div", "side left"), this.frame, this.below);
    editor.sheet = new Sheet(this.canvas, size, classes, editor.mask("edit"));
    editor.on("choice", () => this.#showChoice());
    editor.on("state", () => this.showPreview());
  }

  #showChoice() {
    const { tools, model } = this.editor;
    this.axis.style.display = tools.chosen.mirror ? "" : "none";
    for (const node of this.cursors) {
      node.style.display = tools.chosen.shape === "brush" ? "" : "none";
      node.setAttribute("r", model.get("brush"));
    }
  }

  /** A preview is of the kernel's mask: it is not shown while the mask here is another one. */
  showPreview() {
    const { model, sheet, drawing, kernel, root } = this.editor;
    const isSeen = u8(model.get("preview")).length && !drawing.stroke && !kernel.isAhead;
    sheet.show(isSeen ? this.editor.mask("preview") : null);
    root.dataset.preview = Number(Boolean(sheet.preview));
    this.previewing.hidden = !sheet.preview;
    this.canvas.setAttribute("aria-label", sheet.preview ? "mask, preview" : "mask");
  }

  /** Shows the mask zoomed and moved. */
  show(at) {
    this.at = fit(at);
    const { zoom, x, y } = this.at;
    this.transform = `translate(${x * 100}%, ${y * 100}%) scale(${zoom})`;
    this.layers.style.transform = this.transform;
    this.editor.root.dataset.zoom = zoom.toFixed(2);
    this.editor.emit("zoom");
  }
  showAll() {
    this.show({ zoom: 1, x: 0, y: 0 });
  }
  /** Brings a pixel into the frame. */
  follow(point) {
    const place = point.map((v) => (v + 0.5) / this.editor.size);
    this.show(follow(this.at, place));
  }

  /** Where an event is, in pixels of the mask: [0, 0] is the centre of the first. */
  position(event) {
    return this.inFrame(event, this.canvas.getBoundingClientRect()).map((v) => v * this.editor.size - 0.5);
  }
  /** The same in sides of a frame. */
  inFrame(event, frame = this.frame.getBoundingClientRect()) {
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  }
  /** The pixel in the middle of what is seen. */
  get centre() {
    const { zoom, x, y } = this.at;
    return [x, y].map((offset) => ((0.5 - offset) / zoom) * this.editor.size - 0.5);
  }
  /** How near to a polygon's first corner a click closes it. */
  get closing() {
    return this.editor.size / 60 / this.at.zoom;
  }

  /** A line that is being drawn around an area. */
  trace(points) {
    this.outline.setAttribute("points", points.map((point) => point.join()).join(" "));
    this.editor.root.dataset.corners = points.length;
  }

  showCursor(point, radius) {
    const { size, sheet, titles } = this.editor;
    for (const node of this.cursors) {
      node.setAttribute("cx", point[0]);
      node.setAttribute("cy", point[1]);
      node.setAttribute("r", radius);
    }
    const inside = point.every((v) => v >= -0.5 && v < size - 0.5);
    this.hovered = inside ? sheet.classAt(point) : null;
    this.under.textContent = inside ? titles[this.hovered] : "";
  }
}
