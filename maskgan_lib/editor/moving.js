// Moving a part of the face: shown here at once, done by the kernel, which closes the hole.

import { boxOf } from "./core.js";
import { button, chooser, draw, make, within } from "./elements.js";
import { NUDGES } from "./words.js";

const STILL = { down: 0, right: 0, scale: 1, degrees: 0 };

function turned([x, y], { scale, degrees }) {
  const [cos, sin] = [Math.cos, Math.sin].map((f) => scale * f((degrees * Math.PI) / 180));
  return [cos * x - sin * y, sin * x + cos * y];
}

/**
 * state()    the kernel's: which parts the mask has, and their classes
 * canvas     an empty one above the mask, for the part on its way
 * isOn()     whether the tool is chosen
 * zoom()     how much the mask is enlarged: handles stay small
 * onPart(name)  what is shown as the part that will be moved; "" for none
 */
export function makeMoving({ state, sheet, canvas, isOn, zoom, onPart, command, say }) {
  const { size } = sheet;
  let group = null;
  const box = draw("polygon", "outline");
  const handles = [0, 1, 2, 3, "turn"].map((name) => {
    const node = draw("circle", "handle");
    node.dataset.handle = name;
    return node;
  });
  const parts = chooser("part", "Part", []);
  parts.select.onchange = () => choose(parts.select.value);
  const nudges = NUDGES.map(([text, title, by]) => button("nudge", text, title, () => nudge(by)));
  const node = within(make("div", "moving"), parts.node, within(make("div", "cluster"), ...nudges));

  const idsOf = (name) => state().components[name] ?? [];
  function choose(name) {
    group = name || null;
    parts.select.value = group ?? "";
    show();
  }
  /** The part's box as [centre, half its sides], or null. */
  function partBox() {
    const edges = group && isOn() ? boxOf(sheet.labels, size, idsOf(group)) : null;
    if (!edges) return null;
    const [x0, y0, x1, y1] = edges;
    return { centre: [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2], half: [(x1 - x0) / 2, (y1 - y0) / 2] };
  }
  function show(by = STILL, part = partBox()) {
    onPart(part ? group : "");
    for (const shape of [box, ...handles]) shape.style.display = part ? "" : "none";
    if (!part) return;
    const [w, h] = part.half;
    const placed = ([x, y]) => {
      const [tx, ty] = turned([x, y], by);
      return [part.centre[0] + by.right + tx, part.centre[1] + by.down + ty];
    };
    const corners = [
      [-w, -h],
      [w, -h],
      [w, h],
      [-w, h],
    ].map(placed);
    box.setAttribute("points", corners.map((point) => point.join()).join(" "));
    const stem = (0.06 * size) / zoom() / by.scale;
    [...corners, placed([0, -h - stem])].forEach(([x, y], i) => {
      handles[i].setAttribute("cx", x);
      handles[i].setAttribute("cy", y);
      handles[i].setAttribute("r", (0.014 * size) / zoom());
    });
  }

  /** What a stroke from this point moves, { handle, part, image, by }, or null where there is no part. */
  function grab(point, handle) {
    let part = partBox();
    const inside = part && point.every((v, k) => Math.abs(v - part.centre[k]) <= part.half[k]);
    if (handle === undefined && !inside) {
      const clicked = sheet.classAt(point);
      const holding = state().groups.filter((name) => idsOf(name).includes(clicked));
      choose(holding.sort((a, b) => idsOf(a).length - idsOf(b).length)[0] ?? "");
      part = partBox();
    }
    return part && { handle, part, image: cutOut(idsOf(group)), by: STILL };
  }
  function cutOut(ids) {
    const copy = new OffscreenCanvas(size, size);
    const image = new ImageData(size, size);
    const data = new Uint32Array(image.data.buffer);
    sheet.labels.forEach((id, i) => ids.includes(id) && (data[i] = sheet.colors[id]));
    copy.getContext("2d").putImageData(image, 0, 0);
    return copy;
  }
  function cleared() {
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, size, size);
    return pen;
  }
  /** Takes what is held on to a point. */
  function drag(held, point) {
    const { handle, part, start, image } = held;
    const [from, to] = [start, point].map((p) => [p[0] - part.centre[0], p[1] - part.centre[1]]);
    if (handle === undefined) held.by = { ...STILL, right: point[0] - start[0], down: point[1] - start[1] };
    else if (handle === "turn")
      held.by = { ...STILL, degrees: ((Math.atan2(to[1], to[0]) - Math.atan2(from[1], from[0])) * 180) / Math.PI };
    else
      held.by = { ...STILL, scale: Math.max(0.2, Math.min(5, Math.hypot(...to) / Math.max(1, Math.hypot(...from)))) };
    const { right, down, scale, degrees } = held.by;
    const [x, y] = part.centre.map((v) => v + 0.5); // a canvas counts from the first pixel's corner
    const pen = cleared();
    pen.imageSmoothingEnabled = false;
    pen.translate(x + right, y + down);
    pen.rotate((degrees * Math.PI) / 180);
    pen.scale(scale, scale);
    pen.drawImage(image, -x, -y);
    show(held.by, part);
  }
  function clear() {
    cleared();
    show();
  }
  /** Lets go; whether that has moved the part. */
  function drop({ by }) {
    clear();
    const moved = Boolean(by.right || by.down || by.scale !== 1 || by.degrees);
    if (moved) command("transform_component", { group, ...by });
    return moved;
  }
  function nudge(by, times = 1) {
    if (!group) return say("Choose a part first: click it on the mask.", true);
    const far = Math.max(1, Math.round(size / 128)) * times;
    const [right, down] = [(by.right ?? 0) * far, (by.down ?? 0) * far];
    command("transform_component", { group, ...STILL, ...by, right, down });
  }

  return {
    node,
    lines: [box, ...handles],
    show,
    grab,
    drag,
    clear,
    drop,
    nudge,
    /** The tool has been chosen: some part is. */
    start: () => choose(group ?? state().groups[0]),
    /** The mask may have other parts now. */
    showParts: () => {
      const { groups } = state();
      if (parts.select.dataset.groups !== groups.join()) {
        parts.select.dataset.groups = groups.join();
        parts.select.replaceChildren(...groups.map((name) => make("option", "option", name, { value: name })));
        if (!groups.includes(group)) group = isOn() ? (groups[0] ?? null) : null;
        parts.select.value = group ?? "";
      }
      show();
    },
  };
}
