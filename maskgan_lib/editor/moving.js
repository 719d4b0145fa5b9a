// Moving a part of the face: shown here at once, done by the kernel, which closes the hole.

import { boxOf } from "./core.js";
import { button, chooser, draw, make, within } from "./elements.js";
import { NUDGES } from "./words.js";

const STILL = { down: 0, right: 0, scale: 1, degrees: 0 };

function turned([x, y], { scale, degrees }) {
  const [cos, sin] = [Math.cos, Math.sin].map((f) => scale * f((degrees * Math.PI) / 180));
  return [cos * x - sin * y, sin * x + cos * y];
}

export class Moving {
  #group = null;

  constructor(editor) {
    this.editor = editor;
    this.box = draw("polygon", "outline");
    this.handles = [0, 1, 2, 3, "turn"].map((name) => {
      const node = draw("circle", "handle");
      node.dataset.handle = name;
      return node;
    });
    this.parts = chooser("part", "Part", []);
    this.parts.select.onchange = () => this.#choose(this.parts.select.value);
    const nudges = NUDGES.map(([text, title, by]) => button("nudge", text, title, () => this.nudge(by)));
    this.node = within(make("div", "moving"), this.parts.node, within(make("div", "cluster"), ...nudges));
    editor.stage.below.append(this.node);
    editor.stage.lines.append(this.box, ...this.handles);
    editor.on("zoom", () => this.show());
    editor.on("choice", () => this.show());
    editor.on("state", () => this.#showParts());
  }

  get #isOn() {
    return this.editor.tools.chosen.shape === "move";
  }
  #idsOf(name) {
    return this.editor.state.components[name] ?? [];
  }
  #choose(name) {
    this.#group = name || null;
    this.parts.select.value = name ?? "";
    this.show();
  }
  /** The tool has been chosen: some part is. */
  start() {
    this.#choose(this.#group ?? this.editor.state.groups[0]);
  }

  /** The mask may have other parts now. */
  #showParts() {
    const { groups } = this.editor.state;
    const { select } = this.parts;
    if (select.dataset.groups !== groups.join()) {
      select.dataset.groups = groups.join();
      select.replaceChildren(...groups.map((name) => make("option", "option", name, { value: name })));
      if (!groups.includes(this.#group)) this.#group = this.#isOn ? (groups[0] ?? null) : null;
      select.value = this.#group ?? "";
    }
    this.show();
  }

  /** The part's box as its centre and half its sides, or null. */
  #partBox() {
    const { sheet, size } = this.editor;
    const edges = this.#group && this.#isOn ? boxOf(sheet.labels, size, this.#idsOf(this.#group)) : null;
    if (!edges) return null;
    const [x0, y0, x1, y1] = edges;
    return { centre: [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2], half: [(x1 - x0) / 2, (y1 - y0) / 2] };
  }
  show(by = STILL, part = this.#partBox()) {
    const { root, size, stage } = this.editor;
    root.dataset.part = part ? this.#group : "";
    this.node.hidden = !this.#isOn;
    for (const shape of [this.box, ...this.handles]) shape.style.display = part ? "" : "none";
    if (!part) return;
    const [w, h] = part.half;
    const placed = (point) => {
      const [tx, ty] = turned(point, by);
      return [part.centre[0] + by.right + tx, part.centre[1] + by.down + ty];
    };
    const corners = [-1, 1].flatMap((v) => [-v, v].map((u) => placed([-u * w, v * h])));
    this.box.setAttribute("points", corners.map((point) => point.join()).join(" "));
    const stem = (0.06 * size) / stage.at.zoom / by.scale;
    [...corners, placed([0, -h - stem])].forEach(([x, y], i) => {
      this.handles[i].setAttribute("cx", x);
      this.handles[i].setAttribute("cy", y);
      this.handles[i].setAttribute("r", (0.014 * size) / stage.at.zoom);
    });
  }

  /** What a stroke from this point moves, { handle, part, image, by }, or null where there is no part. */
  grab(point, handle) {
    const { sheet, state } = this.editor;
    let part = this.#partBox();
    const inside = part && point.every((v, k) => Math.abs(v - part.centre[k]) <= part.half[k]);
    if (handle === undefined && !inside) {
      const clicked = sheet.classAt(point);
      const holding = state.groups.filter((name) => this.#idsOf(name).includes(clicked));
      this.#choose(holding.sort((a, b) => this.#idsOf(a).length - this.#idsOf(b).length)[0] ?? "");
      part = this.#partBox();
    }
    return part && { handle, part, image: this.#cutOut(this.#idsOf(this.#group)), by: STILL };
  }
  #cutOut(ids) {
    const { sheet, size } = this.editor;
    const copy = new OffscreenCanvas(size, size);
    const image = new ImageData(size, size);
    const data = new Uint32Array(image.data.buffer);
    sheet.labels.forEach((id, i) => ids.includes(id) && (data[i] = sheet.colors[id]));
    copy.getContext("2d").putImageData(image, 0, 0);
    return copy;
  }
  #cleared() {
    const pen = this.editor.stage.floating.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.editor.size, this.editor.size);
    return pen;
  }
  clear() {
    this.#cleared();
    this.show();
  }

  /** Takes what is held on to a point. */
  drag(held, point) {
    const { handle, part, start, image } = held;
    const [from, to] = [start, point].map((p) => [p[0] - part.centre[0], p[1] - part.centre[1]]);
    const angle = ([x, y]) => (Math.atan2(y, x) * 180) / Math.PI;
    const grown = Math.hypot(...to) / Math.max(1, Math.hypot(...from));
    if (handle === undefined) held.by = { ...STILL, right: point[0] - start[0], down: point[1] - start[1] };
    else if (handle === "turn") held.by = { ...STILL, degrees: angle(to) - angle(from) };
    else held.by = { ...STILL, scale: Math.max(0.2, Math.min(5, grown)) };
    const { right, down, scale, degrees } = held.by;
    const [x, y] = part.centre.map((v) => v + 0.5); // a canvas counts from the first pixel's corner
    const pen = this.#cleared();
    pen.imageSmoothingEnabled = false;
    pen.translate(x + right, y + down);
    pen.rotate((degrees * Math.PI) / 180);
    pen.scale(scale, scale);
    pen.drawImage(image, -x, -y);
    this.show(held.by, part);
  }
  /** Lets go. */
  drop({ by }) {
    this.clear();
    const moved = by.right || by.down || by.scale !== 1 || by.degrees;
    if (moved) this.editor.command("transform_component", { group: this.#group, ...by });
  }
  nudge(by, times = 1) {
    if (!this.#group) return this.editor.say("Choose a part first: click it on the mask.", true);
    const far = Math.max(1, Math.round(this.editor.size / 128)) * times;
    const [right, down] = [(by.right ?? 0) * far, (by.down ?? 0) * far];
    this.editor.command("transform_component", { group: this.#group, ...STILL, ...by, right, down });
  }
}
