// The view of the editor: paints on its own copy of the mask, tells the kernel, shows the pictures it makes.
// Tests and styles read the root's data-* attributes:
//   pending 0 | 1   whether something is being drawn or is on its way    kernel  alive | waiting | gone
//   ack, shown      the last answered number, pictures shown so far     hellos  answers to "are you there?"
//   shape, ink, value, zoom, undo, redo, results, view-mode             what is chosen, and how much there is
//   preview 0 | 1   whether a preview is seen in the mask's place
//   pen             the keyboard's: up | down, or empty when the pointer is used

import { Trail, fit, follow, pinched, rle, same, u8, unrle, zoomAt } from "./core.js";
import { makeAttributes } from "./attributes.js";
import { makeDrawing } from "./drawing.js";
import { draw, make, slider, thumbnail, within } from "./elements.js";
import { connect } from "./kernel.js";
import { makeMoving } from "./moving.js";
import { makePanels } from "./panels.js";
import { makePen } from "./pen.js";
import { makePicture } from "./picture.js";
import { Sheet, colorsOf } from "./sheet.js";
import { keepTrail, keptTrail } from "./stored.js";
import { makeTools } from "./tools.js";
import { INKS, KEYS, SHAPES } from "./words.js";

const THUMB = 96;
const TRAITS = ["edit", "done", "state", "picture", "photo", "original", "preview", "thumbs", "brush", "live"];
/** Commands that change the mask that is seen, so that a preview becomes the mask before. */
const ON_WHAT_IS_SEEN = ["copy_component", "transform_component", "move_latent", "interpolate", "random_edit"];
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }; // right, down

function render({ model, el }) {
  const state = () => model.get("state");
  const { size, classes } = state();
  const titles = classes.map((one) => one.title);
  const partners = classes.map((one) => one.partner);
  const decoded = (bytes) => unrle(bytes, size * size, classes.length);

  let original = decoded(u8(model.get("original")));
  let target = state().target;
  let at = { zoom: 1, x: 0, y: 0 };
  const trail = new Trail();

  // ---- the page

  const root = make("div", "root", "", { tabindex: 0, role: "group", "aria-label": "mask editor" });
  Object.assign(root.dataset, {
    lmSuppressShortcuts: "true",
    pending: 0,
    ack: 0,
    shown: 0,
    hellos: 0,
    kernel: "alive",
    results: 0,
    preview: 0,
    pen: "",
  });
  const status = make("p", "status", "", { role: "status", "aria-live": "polite" });
  function say(text, isError = false) {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("editor-error", isError);
    root.dataset.error = Number(isError);
  }

  // The mask side: the photo, the mask over it, a part that is being moved, and lines on top.
  const photo = make("img", "photo", "", { alt: "", draggable: "false" });
  const canvas = make("canvas", "mask", "", { width: size, height: size, role: "img", "aria-label": "mask" });
  const floating = make("canvas", "mask", "", { width: size, height: size, "aria-hidden": "true" });
  const axis = draw("line", "axis", { x1: (size - 1) / 2, x2: (size - 1) / 2, y1: -0.5, y2: size - 0.5 });
  const outline = draw("polyline", "outline");
  const cursors = [draw("circle", "cursor"), draw("circle", "cursor-inner")];
  const lines = draw("svg", "lines", { viewBox: `-0.5 -0.5 ${size} ${size}`, "aria-hidden": "true" });
  const layers = within(make("div", "layers"), photo, canvas, floating, lines);
  const under = make("span", "under");
  const previewing = make("span", "previewing", "Preview", { hidden: "" });
  const stage = within(make("div", "stage"), layers, under, previewing);
  const opacity = slider("opacity", "Mask over photo", { value: 65 });
  opacity.input.oninput = () => {
    canvas.style.opacity = floating.style.opacity = opacity.input.value / 100;
  };

  const sheet = new Sheet(canvas, size, colorsOf(classes), decoded(u8(model.get("edit"))));
  function command(name, ...args) {
    pen.lift();
    if (ON_WHAT_IS_SEEN.includes(name)) attributes.apply();
    kernel.command(name, ...args);
  }
  const tools = makeTools({
    model,
    classes,
    onShape: (name) => {
      pen.lift();
      drawing.finish();
      if (name !== "move") return;
      pen.hide(); // arrows move the part
      moving.start();
    },
    onChange: showChoice,
    act: {
      undo: () => travel("undo"),
      redo: () => travel("redo"),
      reset: () => {
        if (attributes.isMoved()) attributes.cancel();
        change(original.slice());
      },
      all: () => show({ zoom: 1, x: 0, y: 0 }),
    },
  });
  const { chosen } = tools;
  const moving = makeMoving({
    state,
    sheet,
    canvas: floating,
    isOn: () => chosen.shape === "move",
    zoom: () => at.zoom,
    onPart: (name) => (root.dataset.part = name),
    command,
    say,
  });
  const picture = makePicture({
    model,
    size,
    photo,
    command,
    say,
    onMode: (name) => (root.dataset.viewMode = name),
    onPicture: () => {
      fresh = root.dataset.shown !== "0"; // the first comes with the kernel's results
      root.dataset.shown = Number(root.dataset.shown) + 1;
      addResult();
    },
  });
  const attributes = makeAttributes({
    state,
    isIdle: () => kernel.isIdle(),
    onDrop: () => sheet.show(null),
    hasEffect: () => !same(sheet.seen, sheet.labels),
    command,
    say,
  });
  const panels = makePanels({ model, state, sheet, classes, command, goTo, savePicture: picture.save, say });
  const left = within(make("div", "side left"), stage, within(make("div", "below"), opacity.node, moving.node));
  const main = within(make("div", "main"), tools.palette, left, picture.node);
  if (attributes.node) left.after(attributes.node); // on a narrow page just below the mask that they move
  root.append(tools.bar, tools.hint, main, status, panels.node);
  el.append(root);

  function showChoice() {
    const { shape, ink, value, mirror } = chosen;
    const [undo, redo] = [trail.past.length, trail.future.length];
    Object.assign(root.dataset, { shape, ink, value, mirror: Number(mirror), undo, redo });
    tools.show(undo || attributes.isMoved(), redo);
    picture.showLive();
    axis.style.display = mirror ? "" : "none";
    moving.node.hidden = shape !== "move";
    for (const node of cursors) {
      node.style.display = shape === "brush" ? "" : "none";
      node.setAttribute("r", model.get("brush"));
    }
    moving.show();
  }

  function showState() {
    original = decoded(u8(model.get("original")));
    target = state().target;
    panels.show();
    if (!kernel.isCommanding()) picture.showMethod(state().method); // else another choice may be on its way
    picture.showKeep(state().keep);
    moving.showParts();
    attributes.show();
    showPreview();
  }

  /** A preview is of the kernel's mask: it is not shown while the mask here is another one. */
  function showPreview() {
    const bytes = u8(model.get("preview"));
    sheet.show(bytes.length && !drawing.stroke() && !kernel.isAhead() ? decoded(bytes) : null);
    root.dataset.preview = Number(Boolean(sheet.preview));
    previewing.hidden = !sheet.preview;
    canvas.setAttribute("aria-label", sheet.preview ? "mask, preview" : "mask");
  }

  function show(now) {
    at = fit(now);
    for (const node of [layers, picture.layers])
      node.style.transform = `translate(${at.x * 100}%, ${at.y * 100}%) scale(${at.zoom})`;
    root.dataset.zoom = at.zoom.toFixed(2);
    picture.place(at);
    moving.show();
    pen.show(at.zoom);
  }

  // ---- the kernel

  const kernel = connect({
    model,
    root,
    sheet,
    classes: classes.length,
    isDrawing: () => Boolean(drawing.stroke()),
    takeOver: (labels, answered) => {
      if (answered?.isEdit && answered.error) trail.past.pop();
      else if (answered?.isStep !== false && !same(labels, sheet.labels)) trail.push(snapshot());
      sheet.replace(labels);
    },
    onSend: panels.sending,
    onSettle: (isFlying) => picture.allowRender(!isFlying),
    onGallery: (notes, buffers) =>
      notes.forEach((text, i) => {
        const [file, bytes] = [buffers[2 * i], buffers[2 * i + 1].slice()];
        root.dataset.results = panels.addResult(thumbnail(file, text), { bytes, target: null }, text);
      }),
    say,
  });

  let scheduled = false;
  function hear() {
    // All traits of one message are there when the first of its events comes: deal with them together.
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      sync();
    });
  }

  function sync() {
    const answered = kernel.answer();
    if (!drawing.stroke()) kernel.pull(answered);
    showState();
    picture.show();
    if (answered?.after && !answered.error) answered.after();
    if (answered) {
      kernel.next();
      root.dataset.ack = answered.n;
      addResult();
    }
    showChoice();
  }

  let fresh = false; // whether the picture on the screen is not among the results yet
  function addResult() {
    if (!fresh || kernel.isBusy() || drawing.stroke()) return;
    fresh = false;
    root.dataset.results = panels.addResult(picture.small(THUMB), { bytes: rle(sheet.labels), target });
  }

  // ---- changes of the mask, undo and redo

  const snapshot = (of = sheet.labels) => ({ bytes: rle(of), target });
  let taken = null; // the mask under a preview that is being painted on

  function change(to) {
    pen.lift();
    if (drawing.stroke() || same(to, sheet.labels)) return;
    trail.push(snapshot());
    put(to);
  }
  /** Who paints on a preview wants it: it becomes the mask, unless the stroke is taken back. */
  function takePreview() {
    if (!sheet.preview) return;
    taken = sheet.labels;
    sheet.replace(sheet.preview);
    attributes.rest();
  }
  function put(to) {
    sheet.replace(to);
    kernel.push();
    showChoice();
  }
  /** Shows a mask of the past; if it is of another face, that face is chosen first. */
  function recall({ bytes, target: face }) {
    const to = decoded(bytes);
    if (face === null || face === target) return put(to);
    command("choose_target", { face }, { isStep: false, after: () => put(to) });
  }
  function goTo(past) {
    pen.lift();
    if (drawing.stroke()) return;
    trail.push(snapshot());
    recall(past);
  }
  function travel(way) {
    pen.lift();
    if (way === "undo" && !drawing.stroke() && attributes.isMoved()) return attributes.cancel();
    if (drawing.stroke() || kernel.isCommanding()) return;
    const past = trail[way](snapshot());
    if (past) recall(past);
  }

  // The steps outlive the page. What happened to the mask meanwhile is a step of its own.
  const storage = () => window.sessionStorage; // asking for it may be refused
  const keep = () => keepTrail(storage, state().id, trail, snapshot());
  const kept = keptTrail(storage, state().id, ({ bytes, target: face }) => {
    decoded(bytes);
    if (face !== null && !Object.keys(state().faces).includes(`${face}`)) throw new Error("There is no such face.");
  });
  if (kept) {
    const isNow = kept.now.target === target && same(kept.now.bytes, rle(sheet.labels));
    Object.assign(trail, { past: kept.past, future: kept.future });
    if (!isNow) trail.push(kept.now);
  }

  // ---- strokes

  const pushWhileDrawing = () => model.get("live") === "drawing" && kernel.push();
  const drawing = makeDrawing({
    sheet,
    chosen,
    partners,
    ink: () => tools.ink(original),
    pick: tools.chooseClass,
    trace: (points) => {
      outline.setAttribute("points", points.map((point) => point.join()).join(" "));
      root.dataset.corners = points.length;
    },
    onTouch: takePreview,
    onBegin: kernel.settle,
    onProgress: pushWhileDrawing,
    onEnd: endStroke,
    onCancel: (kind) => {
      if (kind === "move") moving.clear();
      if (kind === "brush") pushWhileDrawing();
      if (root.dataset.pen) root.dataset.pen = "up";
      kernel.settle();
      if (!taken) return;
      sheet.replace(taken);
      taken = null;
      attributes.show();
      showPreview();
    },
  });

  /** What `before` was before a stroke can be undone; what the kernel has changed meanwhile is taken over. */
  function endStroke(before) {
    const steps = [taken, before].filter((mask, i, all) => mask && !same(mask, all[i + 1] ?? sheet.labels));
    taken = null;
    if (steps.length) {
      steps.forEach((mask) => trail.push(snapshot(mask)));
      kernel.push();
    } else {
      kernel.pull();
      kernel.next();
    }
    addResult();
    showChoice();
  }

  // ---- the pointer and the keyboard's pen

  let spaced = false; // whether the space bar is down
  let hovered = null; // the class under the pointer
  let restsAt = []; // where the pointer was last, on the screen
  const fingers = new Map();

  /** In pixels of the mask: [0, 0] is the centre of the first. */
  function position(event) {
    const frame = canvas.getBoundingClientRect();
    return [
      ((event.clientX - frame.left) * size) / frame.width - 0.5,
      ((event.clientY - frame.top) * size) / frame.height - 0.5,
    ];
  }
  function inFrame(event, frame = stage.getBoundingClientRect()) {
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  }
  const spots = () => [...fingers.values()].map((event) => inFrame(event));
  const closing = () => size / 60 / at.zoom; // how near to a polygon's first corner a click closes it
  const radiusOf = (event) =>
    model.get("brush") * (event.pointerType === "pen" && event.pressure ? 0.5 + event.pressure : 1);

  const pen = makePen({
    sheet,
    drawing,
    radius: () => model.get("brush"),
    closing,
    onPlace: (point) => {
      const place = point.map((v) => (v + 0.5) / size);
      show(follow(at, place));
      showCursor(point, model.get("brush"));
      if (!drawing.stroke()) drawing.lead(point);
    },
    onState: (is) => (root.dataset.pen = is),
  });
  lines.append(axis, outline, ...moving.lines, ...cursors, ...pen.lines);
  /** The pixel in the middle of what is seen. */
  const centre = () => [at.x, at.y].map((offset) => ((0.5 - offset) / at.zoom) * size - 0.5);

  function onDown(event) {
    pen.lift();
    fingers.set(event.pointerId, event);
    if (event.pointerType === "touch" && fingers.size === 2) {
      if (drawing.stroke()) drawing.cancel();
      return drawing.begin("pinch", [0, 0], { from: spots(), at });
    }
    if (drawing.stroke() || fingers.size > 1 || ![0, 1].includes(event.button)) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    root.dataset.pointer = event.pointerType;
    stage.setPointerCapture(event.pointerId);
    const point = position(event);
    pen.hide(point);
    showCursor(point, radiusOf(event));
    const pointer = event.pointerId;
    if (event.button === 1 || spaced) return drawing.begin("pan", point, { pointer, from: inFrame(event), at });
    if (event.altKey) return tools.chooseClass(sheet.classAt(point));
    if (chosen.shape === "move") {
      takePreview();
      if (taken) endStroke(sheet.labels);
      const held = moving.grab(point, event.target.dataset?.handle);
      if (held) drawing.begin("move", point, { pointer, ...held });
    } else if (chosen.shape === "polygon" && event.detail > 1) drawing.finish(true);
    else drawing.touch(point, radiusOf(event), closing(), { pointer, straight: event.shiftKey });
  }

  function onMove(event) {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
    const point = position(event);
    // A browser reports a move, too, when something moves under a pointer that rests.
    const rests = event.screenX === restsAt[0] && event.screenY === restsAt[1];
    restsAt = [event.screenX, event.screenY];
    if (pen.isDown() || (rests && root.dataset.pen)) return;
    pen.hide(point);
    showCursor(point, radiusOf(event));
    const stroke = drawing.stroke();
    if (stroke?.kind === "pinch" && fingers.size === 2) return show(pinched(stroke.at, stroke.from, spots()));
    if (!stroke) return drawing.lead(point);
    if (event.pointerId !== stroke.pointer) return;
    if (stroke.kind === "pan") {
      const [x, y] = inFrame(event);
      show({ ...stroke.at, x: stroke.at.x + x - stroke.from[0], y: stroke.at.y + y - stroke.from[1] });
    } else if (stroke.kind === "move") moving.drag(stroke, point);
    else {
      const parts = event.getCoalescedEvents?.() ?? [];
      drawing.draw((parts.length ? parts : [event]).map((part) => [position(part), radiusOf(part)]));
    }
  }

  function onEnd(event) {
    fingers.delete(event.pointerId);
    const stroke = drawing.stroke();
    if (!stroke || (stroke.kind === "pinch" ? fingers.size : event.pointerId !== stroke.pointer)) return;
    if (stroke.kind !== "move") return drawing.lift(radiusOf(event));
    drawing.drop();
    if (!moving.drop(stroke)) endStroke(sheet.labels);
  }

  function showCursor(point, radius) {
    for (const node of cursors) {
      node.setAttribute("cx", point[0]);
      node.setAttribute("cy", point[1]);
      node.setAttribute("r", radius);
    }
    const inside = point.every((v) => v >= -0.5 && v < size - 0.5);
    hovered = inside ? sheet.classAt(point) : null;
    under.textContent = inside ? titles[hovered] : "";
  }

  function onWheel(event) {
    if (!root.contains(document.activeElement) && !event.ctrlKey) return; // the page scrolls
    const by = event.deltaY || event.deltaX;
    if (event.shiftKey) tools.growBrush(-0.1 * Math.sign(by));
    else if (by > 0 && at.zoom === 1) return;
    else show(zoomAt(at, inFrame(event, event.currentTarget.getBoundingClientRect()), Math.exp(-by / 400)));
    event.preventDefault();
  }

  // ---- keys

  const zoomBy = (factor) => show(zoomAt(at, [0.5, 0.5], factor));
  const byKey = {
    "[": () => tools.growBrush(-0.15),
    "]": () => tools.growBrush(0.15),
    "+": () => zoomBy(1.5),
    "=": () => zoomBy(1.5),
    "-": () => zoomBy(1 / 1.5),
    z: () => show({ zoom: 1, x: 0, y: 0 }),
    m: tools.toggleMirror,
    d: picture.nextMode,
    x: () => chosen.shape !== "move" && pen.press(centre()),
    q: () => tools.setOnly(chosen.only === null ? hovered : null),
    enter: () => {
      if (drawing.corners().length) drawing.finish(true);
      else if (attributes.isMoved()) attributes.apply();
      else command("render");
    },
    backspace: drawing.takeCornerBack,
    escape: () => {
      if (drawing.stroke()) drawing.cancel();
      else if (drawing.corners().length) drawing.finish();
      else if (attributes.isMoved()) attributes.cancel();
      else document.activeElement.blur();
    },
  };
  Object.entries(SHAPES).forEach(([name, [, key]]) => (byKey[key] = () => tools.chooseShape(name)));
  Object.entries(INKS).forEach(([name, [, key]]) => (byKey[key] = () => tools.toggleInk(name)));
  [...KEYS].forEach((key, i) => (byKey[key] = () => tools.chooseClass(i)));

  function onArrow([right, down], isFar) {
    const far = isFar ? Math.max(2, Math.round(size / 16)) : 1;
    if (chosen.shape === "move") moving.nudge({ right, down }, isFar ? 5 : 1);
    else pen.move(far * right, far * down, centre());
  }
  function onKey(event) {
    event.stopPropagation(); // the notebook must not see keys that are meant for the editor
    const key = event.key.toLowerCase();
    const tag = event.target.tagName;
    let act;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") act = () => travel(event.shiftKey ? "redo" : "undo");
      else if (key === "y") act = () => travel("redo");
    } else if (event.altKey) return;
    else if (tag === "SELECT")
      return; // letters choose an option there
    else if (key === " ") {
      if (["BUTTON", "SUMMARY", "INPUT"].includes(tag)) return;
      act = () => (spaced = true);
    } else if (key === "enter" && ["BUTTON", "SUMMARY"].includes(tag)) return;
    else if (ARROWS[key]) {
      if (tag === "INPUT" || panels.node.contains(event.target)) return; // they move sliders, and the page
      act = () => onArrow(ARROWS[key], event.shiftKey);
    } else act = byKey[key];
    if (!act) return;
    event.preventDefault();
    act();
    root.classList.toggle("editor-spaced", spaced);
  }
  function onKeyUp(event) {
    event.stopPropagation();
    if (event.key === " ") spaced = false;
    root.classList.toggle("editor-spaced", spaced);
  }

  function onFocusOut(event) {
    if (root.contains(event.relatedTarget)) return;
    pen.lift();
    pen.hide();
  }

  // ---- start, and clean up

  root.addEventListener("keydown", onKey);
  root.addEventListener("keyup", onKeyUp);
  root.addEventListener("focusout", onFocusOut);
  // After a click the keys go on: a button that the mouse has pressed would take the space bar for itself.
  root.addEventListener("click", (event) => {
    if (event.detail && event.target.closest("button")) root.focus({ preventScroll: true });
  });
  stage.addEventListener("pointerdown", onDown);
  stage.addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) stage.addEventListener(name, onEnd);
  stage.addEventListener("pointerleave", () => (under.textContent = ""));
  for (const node of [stage, picture.stage]) node.addEventListener("wheel", onWheel, { passive: false });
  const events = TRAITS.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, hear));
  root.readMask = (kind = "labels") => Array.from(rle(sheet[kind])); // for tests

  opacity.input.oninput();
  picture.setMode("picture");
  show(at);
  showState();
  showChoice();
  picture.show();

  window.addEventListener("pagehide", keep);

  return () => {
    keep();
    window.removeEventListener("pagehide", keep);
    kernel.stop();
    events.forEach((event) => model.off(event, hear));
  };
}

export default { render };
