// The view of the editor: paints on its own copy of the mask, tells the kernel, shows the pictures it makes.
// Tests and styles read the root's data-* attributes:
//   pending 0 | 1   whether something is being drawn or is on its way    kernel  alive | waiting | gone
//   ack, shown      the last answered number, pictures shown so far     hellos  answers to "are you there?"
//   shape, ink, value, zoom, undo, redo, results, view-mode             what is chosen, and how much there is

import {
  Trail,
  boxOf,
  capsule,
  fit,
  flood,
  maskPng,
  merge,
  mirrorInk,
  mirrorPoint,
  polygon,
  rle,
  same,
  u8,
  unrle,
  zoomAt,
} from "./core.js";

const PATIENCE = 2; // seconds until a waiting person is told why
const LONG = 10; // seconds until a stopped kernel is more likely than a busy one
const GALLERY = 24;
const LONGEST_BRUSH = 100;
const UPLOAD_SIDE = 2048; // larger photos are made smaller before they travel
const UPLOAD_BYTES = 8e6; // a kernel's connection breaks at 10 MiB
const BACKGROUND = 0;
const HAIR = 13;
const KEYS = "0123456789oujhtgnkc"; // of the classes, by id

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  brush: "M4 20c3 0 4-1 4-3a2 2 0 1 1 4 0c0 3-3 4-8 3zM11 14 20 4",
  fill: "M4 12l7-7 7 7-7 7zM11 5V2M20 15c1.6 2.2 1.6 4 0 4s-1.6-1.8 0-4z",
  lasso: "M12 4c5 0 9 2 9 5s-4 5-9 5-9-2-9-5 4-5 9-5zM6 13c-2 3 0 4 2 4s3 1 1 4",
  polygon: "M4 10l8-6 8 6-3 10H7z",
  pick: "M4 20l1-4 9-9 3 3-9 9zM13 5l6 6M16 8l4-4",
  move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  background: "M8 19h12M4 14l9-9 7 7-7 7H9z",
  original: "M4 12a8 8 0 1 0 3-6M4 4v4h4M12 8v4l3 2",
  undo: "M9 14L4 9l5-5M4 9h10a5 5 0 0 1 0 10h-3",
  redo: "M15 14l5-5-5-5M20 9H10a5 5 0 0 0 0 10h3",
  reset: "M5 5h14v14H5zM9 9l6 6M15 9l-6 6",
  mirror: "M12 3v18M9 7 3 17h6zM15 7l6 10h-6z",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3",
};
const SHAPES = {
  brush: ["Brush", "b", "Draw on the mask"],
  fill: ["Fill", "f", "Click an area to fill it"],
  lasso: ["Lasso", "l", "Draw around an area to fill it"],
  polygon: [
    "Polygon",
    "p",
    "Click the corners; a double click or Enter fills, Backspace takes a corner back, Esc stops",
  ],
  pick: ["Pick", "i", "Click the mask to take its class (Alt+click does it in every tool)"],
  move: ["Move part", "v", "Click a part of the face, then drag it; corners scale it, the handle above turns it"],
};
const INKS = { background: ["Eraser", "e", "background"], original: ["Restore", "r", "the original mask"] };
const HELP = [
  ["b f l p", "brush, fill, lasso, polygon"],
  ["e r", "eraser, restore the original"],
  ["i, Alt+click", "pick a class from the mask"],
  ["v", "move a part; arrows nudge it"],
  ["Shift", "a straight line; with a click from the last stroke's end"],
  ["[ ], Shift+wheel", "smaller, larger brush"],
  ["m", "mirror: both sides at once, left and right exchanged"],
  ["q", "paint only over the class under the pointer; once more: over all"],
  ["Ctrl+Z, Ctrl+Shift+Z, Ctrl+Y", "undo, redo"],
  ["wheel, + −, two fingers", "zoom (click the picture first)"],
  ["Space+drag, two fingers", "pan"],
  ["z", "show all"],
  ["d", "picture, comparison, difference"],
  ["Enter", "render now"],
  [KEYS.split("").join(" "), "the classes, in the palette's order"],
  ["Esc", "stop what is begun; then leave the editor"],
];

function make(tag, name, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.className = name
    .split(" ")
    .map((part) => `editor-${part}`)
    .join(" ");
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function draw(tag, name, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  if (name) node.setAttribute("class", `editor-${name}`);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function within(node, ...children) {
  node.append(...children);
  return node;
}

function iconed(kind, name, icon, text, title) {
  const node = make(kind, name, "", kind === "button" ? { type: "button", title, "aria-label": title } : { title });
  const picture = draw("svg", "icon", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  picture.append(draw("path", "", { d: ICONS[icon] }));
  node.append(picture);
  if (text) node.append(make("span", "label", text));
  return node;
}

function button(name, text, title, act) {
  const node = make("button", name, text, { type: "button", title });
  node.onclick = act;
  return node;
}

function slider(name, label, { min = 0, max = 100, step = 1, value = 0 }) {
  const input = make("input", name, "", { type: "range", min, max, step, value, "aria-label": label });
  return { input, node: within(make("label", "field"), make("span", "field-name", label), input) };
}

function chooser(name, label, options) {
  const select = make("select", name, "", { "aria-label": label });
  select.append(...options.map(([value, text]) => make("option", "option", text, { value })));
  return { select, node: within(make("label", "field"), make("span", "field-name", label), select) };
}

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Bytes of a photo, few enough to travel; what the browser cannot read goes to the kernel, which says why. */
async function photoBytes(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const share = Math.min(1, UPLOAD_SIDE / Math.max(bitmap.width, bitmap.height));
    if (share === 1 && file.size < UPLOAD_BYTES) return await file.arrayBuffer();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(bitmap.width * share), Math.round(bitmap.height * share)];
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    return await blob.arrayBuffer();
  } catch {
    return file.slice(0, UPLOAD_BYTES).arrayBuffer();
  }
}

function render({ model, el }) {
  const state = () => model.get("state");
  const { size, classes } = state();
  const titles = classes.map((one) => one.title);
  const partners = classes.map((one) => one.partner);
  const pixelCount = size * size;
  const view = Math.random().toString(36).slice(2, 10); // two views of one model must not take each other's answers

  let labels = unrle(u8(model.get("edit")), pixelCount, classes.length);
  let synced = labels.slice(); // what the kernel had last, as far as is known here
  let known = u8(model.get("edit")).slice(); // the bytes of `edit` that have been dealt with
  let original = unrle(u8(model.get("original")), pixelCount, classes.length);
  let target = state().target;
  let value = HAIR;
  let ink = "class"; // class | background | original
  let shape = "brush";
  let mirror = false;
  let only = null; // the one class that may be painted over
  const locked = new Set();
  let at = { zoom: 1, x: 0, y: 0 };
  let group = null; // the part that is moved
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
  });

  const shapeButtons = Object.entries(SHAPES).map(([name, [text, key, title]]) => {
    const node = iconed("button", "tool", name, text, `${text}: ${title} (${key})`);
    node.dataset.shape = name;
    node.onclick = () => chooseShape(name);
    return node;
  });
  const inkButtons = Object.entries(INKS).map(([name, [text, key, paints]]) => {
    const node = iconed("button", "tool", name, text, `${text}: paint ${paints} (${key})`);
    node.dataset.ink = name;
    node.onclick = () => chooseInk(ink === name ? "class" : name);
    return node;
  });
  const brush = slider("brush", "Size", { min: 1, max: LONGEST_BRUSH, value: model.get("brush") });
  const brushText = make("output", "number");
  brush.node.append(brushText);
  const mirrorButton = iconed(
    "button",
    "tool",
    "mirror",
    "Mirror",
    "Mirror: paint both sides, left and right exchanged (m)",
  );
  mirrorButton.onclick = () => setMirror(!mirror);
  const over = chooser("over", "Paint over", [["", "every class"], ...titles.map((title, i) => [i, `only ${title}`])]);
  over.node.title = "Pixels of other classes stay as they are (q)";
  over.select.onchange = () => setOnly(over.select.value === "" ? null : Number(over.select.value));
  const undoButton = iconed("button", "tool plain", "undo", "", "Undo (Ctrl+Z)");
  const redoButton = iconed("button", "tool plain", "redo", "", "Redo (Ctrl+Shift+Z or Ctrl+Y)");
  const resetButton = iconed("button", "tool plain", "reset", "Reset", "Back to the original mask (can be undone)");
  const fitButton = iconed("button", "tool plain", "fit", "", "Show all (z)");
  undoButton.onclick = () => travel("undo");
  redoButton.onclick = () => travel("redo");
  resetButton.onclick = () => change(original.slice());
  fitButton.onclick = () => show({ zoom: 1, x: 0, y: 0 });
  const tools = within(
    make("div", "tools", "", { role: "toolbar", "aria-label": "tools" }),
    within(make("div", "cluster"), ...shapeButtons.slice(0, 4)),
    within(make("div", "cluster"), ...inkButtons),
    within(make("div", "cluster"), ...shapeButtons.slice(4)),
    within(make("div", "cluster"), mirrorButton),
    within(make("div", "cluster"), undoButton, redoButton, resetButton, fitButton),
    within(make("div", "cluster loose"), brush.node, over.node),
  );

  const classButtons = classes.map(({ title, rgb }, i) => {
    const node = make("button", "class", "", { type: "button", title: `${title} (${KEYS[i]})` });
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${rgb.join(",")})`;
    node.append(swatch, make("span", "class-title", title), make("kbd", "key", KEYS[i]));
    node.dataset.value = i;
    node.onclick = () => chooseClass(i);
    return node;
  });
  const lockButtons = classes.map(({ title }, i) => {
    const node = iconed("button", "lock", "lock", "", `Protect ${title} from being painted over`);
    node.onclick = () => {
      if (!locked.delete(i)) locked.add(i);
      showChoice();
    };
    return node;
  });
  const palette = within(
    make("div", "palette", "", { role: "group", "aria-label": "classes" }),
    ...classes.map((_, i) => within(make("div", "row"), classButtons[i], lockButtons[i])),
  );

  // The mask side: the photo, the mask over it, a part that is being moved, and lines on top.
  const photo = make("img", "photo", "", { alt: "", draggable: "false" });
  const canvas = make("canvas", "mask", "", { width: size, height: size, role: "img", "aria-label": "mask" });
  const floating = make("canvas", "mask", "", { width: size, height: size, "aria-hidden": "true" });
  const lines = draw("svg", "lines", { viewBox: `-0.5 -0.5 ${size} ${size}`, "aria-hidden": "true" });
  const axis = draw("line", "axis", { x1: (size - 1) / 2, x2: (size - 1) / 2, y1: -0.5, y2: size - 0.5 });
  const outline = draw("polyline", "outline");
  const box = draw("polygon", "outline");
  const handles = [0, 1, 2, 3, "turn"].map((name) => {
    const node = draw("circle", "handle");
    node.dataset.handle = name;
    return node;
  });
  const cursor = draw("circle", "cursor");
  const cursorInner = draw("circle", "cursor-inner");
  lines.append(axis, outline, box, ...handles, cursor, cursorInner);
  const layers = within(make("div", "layers"), photo, canvas, floating, lines);
  const under = make("span", "under");
  const stage = within(make("div", "stage"), layers, under);
  const opacity = slider("opacity", "Mask over photo", { value: 65 });
  opacity.input.oninput = () => {
    canvas.style.opacity = floating.style.opacity = opacity.input.value / 100;
  };
  const parts = chooser("part", "Part", []);
  parts.select.onchange = () => choosePart(parts.select.value);
  const step = () => Math.max(1, Math.round(size / 128));
  const nudges = [
    ["←", "move left", { right: -1 }],
    ["→", "move right", { right: 1 }],
    ["↑", "move up", { down: -1 }],
    ["↓", "move down", { down: 1 }],
    ["+", "larger", { scale: 1.08 }],
    ["−", "smaller", { scale: 1 / 1.08 }],
    ["↻", "turn clockwise", { degrees: 5 }],
    ["↺", "turn back", { degrees: -5 }],
  ].map(([text, title, by]) => button("nudge", text, title, () => nudge(by)));
  const moving = within(make("div", "moving"), parts.node, within(make("div", "cluster"), ...nudges));
  const left = within(make("div", "side left"), stage, within(make("div", "below"), opacity.node, moving));

  // The picture side.
  const before = make("img", "photo", "", { alt: "the photo", draggable: "false" });
  const result = make("img", "photo", "", { alt: "the picture of the mask", draggable: "false" });
  const difference = make("canvas", "photo", "", {
    width: size,
    height: size,
    role: "img",
    "aria-label": "difference to the photo",
  });
  const split = make("div", "split");
  const resultLayers = within(make("div", "layers"), before, result, difference);
  const resultStage = within(make("div", "stage"), resultLayers, split);
  const modes = { picture: "Picture", compare: "Before | after", difference: "Difference" };
  const modeButtons = Object.entries(modes).map(([name, text]) => {
    const node = button("mode", text, `${text} (d)`, () => setMode(name));
    node.dataset.mode = name;
    return node;
  });
  const comparison = slider("comparison", "Before | after", { value: 50 });
  comparison.input.oninput = () => setMode("compare");
  const live = chooser("live", "Render", [
    ["drawing", "while drawing"],
    ["stroke", "after each stroke"],
    ["button", "on the button"],
  ]);
  live.select.onchange = () => {
    model.set("live", live.select.value);
    model.save_changes();
    showChoice();
    if (live.select.value !== "button") command("render");
  };
  const renderButton = button("render", "Render", "Make a picture of the mask (Enter)", () => command("render"));
  const keep = make("input", "keep", "", { type: "checkbox" });
  const strength = slider("strength", "Strength", { value: 100 });
  const setKeep = () =>
    command("set_keep", { strength: keep.checked ? strength.input.value / 100 : null }, { replace: "keep" });
  keep.onchange = setKeep;
  strength.input.onchange = () => {
    keep.checked = true;
    setKeep();
  };
  const keepNode = within(
    make("label", "field", "", { title: "Outside the edit the photo's own pixels stay" }),
    keep,
    make("span", "field-name", "Keep what was not edited"),
  );
  const right = within(
    make("div", "side right"),
    resultStage,
    within(
      make("div", "below"),
      within(make("div", "cluster"), ...modeButtons),
      comparison.node,
      live.node,
      renderButton,
      within(make("div", "field"), keepNode, strength.node),
    ),
  );

  const hint = make("p", "hint");
  const status = make("p", "status", "", { role: "status", "aria-live": "polite" });

  // The panels below.
  const strips = []; // [node, title of a face's button, whether it is chosen, what a click does]
  function strip(name, title, isChosen, act) {
    const node = make("div", `strip ${name}`, "", { role: "group", "aria-label": name });
    strips.push([node, title, isChosen, act]);
    return node;
  }
  function panel(name, title, open, ...children) {
    const node = within(make("details", `panel ${name}`), make("summary", "summary", title), ...children);
    node.open = open;
    return node;
  }
  let source = Math.min(1, state().faces.length - 1); // the face that parts are copied from
  let towards = source;
  const mix = slider("mix", "Mix", { value: 100 });
  mix.input.oninput = () =>
    command("choose_style", { face: state().style, mix: mix.input.value / 100 }, { replace: "mix" });
  const copyButtons = make("div", "cluster wrap");
  const results = make("div", "strip results", "", { role: "group", "aria-label": "results" });
  const share = slider("share", "How far", { value: 0 });
  share.input.oninput = () =>
    command("interpolate", { face: towards, share: share.input.value / 100 }, { replace: "share" });
  const directions = make("div", "directions");
  const files = {
    mask: make("input", "file", "", { type: "file", accept: "image/png", hidden: "" }),
    photo: make("input", "file", "", { type: "file", accept: "image/*", hidden: "" }),
  };
  files.mask.onchange = () => upload(files.mask, "load_mask", (file) => file.slice(0, UPLOAD_BYTES).arrayBuffer());
  files.photo.onchange = () =>
    upload(files.photo, "add_photo", photoBytes, () => command("choose_target", { face: state().faces.length - 1 }));
  const autosaved = make("p", "note");
  const note = (text) => make("p", "note", text);
  const panels = within(
    make("div", "panels"),
    panel("results-panel", "Results of this session", true, note("Click one to go back to its mask."), results),
    panel(
      "style-panel",
      "Style from another face",
      true,
      note("Colours, light and hair of the face that you click."),
      strip(
        "style",
        "Take the style of",
        (i) => i === state().style,
        (i) => command("choose_style", { face: i, mix: mix.input.value / 100 }),
      ),
      mix.node,
    ),
    panel(
      "copy-panel",
      "Copy a part from another face",
      true,
      note("Choose a face, then a part."),
      strip(
        "source",
        "Copy from",
        (i) => i === source,
        (i) => {
          source = i;
          showFaces();
        },
      ),
      copyButtons,
    ),
    panel(
      "target-panel",
      "Edit another face",
      false,
      note("Your mask stays in the undo steps."),
      strip(
        "target",
        "Edit",
        (i) => i === state().target,
        (i) => command("choose_target", { face: i }),
      ),
    ),
  );
  const hasShape = state().directions.length > 0;
  if (hasShape)
    panels.append(
      panel(
        "shape-panel",
        "Shape (MaskVAE)",
        false,
        directions,
        note("Blend the mask with that of another face:"),
        strip(
          "towards",
          "Blend with",
          (i) => i === towards,
          (i) => {
            towards = i;
            share.input.value = 0;
            showFaces();
          },
        ),
        share.node,
        within(
          make("div", "cluster wrap"),
          button("action", "Random edit", "A random change that keeps the mask plausible", () =>
            command("random_edit", { seed: Math.floor(Math.random() * 2 ** 31) }),
          ),
        ),
      ),
    );
  panels.append(
    panel(
      "files-panel",
      "Files",
      false,
      within(
        make("div", "cluster wrap"),
        button("action", "Download mask", "A PNG of class ids in the palette's colours", async () =>
          download(
            "mask.png",
            await maskPng(
              labels,
              size,
              classes.map((one) => one.rgb),
            ),
          ),
        ),
        button("action", "Download picture", "The picture on the right, as JPEG", () => savePicture()),
        button("action", "Open a mask …", "A PNG of class ids 0 to 18", () => files.mask.click()),
        button("action", "Open a photo …", "A photo of a face: it is cut out and its mask is found", () =>
          files.photo.click(),
        ),
      ),
      files.mask,
      files.photo,
      autosaved,
    ),
    panel(
      "keys-panel",
      "Keys",
      false,
      within(
        make("dl", "help"),
        ...HELP.flatMap(([keys, does]) => [make("dt", "help-key", keys), make("dd", "help-text", does)]),
      ),
    ),
  );

  root.append(tools, hint, within(make("div", "main"), palette, left, right), status, panels);
  el.append(root);

  // ---- what is chosen

  function chooseShape(name) {
    finishPoints();
    shape = name;
    if (name === "move") choosePart(group ?? state().groups[0]);
    showChoice();
  }
  function chooseInk(name) {
    ink = name;
    if (!["brush", "fill", "lasso", "polygon"].includes(shape)) chooseShape("brush");
    showChoice();
  }
  function chooseClass(i) {
    value = i;
    chooseInk("class");
  }
  function setMirror(on) {
    mirror = on;
    showChoice();
  }
  function setOnly(i) {
    only = i;
    over.select.value = i ?? "";
    showChoice();
  }
  function setBrush(radius) {
    model.set("brush", Math.max(1, Math.min(LONGEST_BRUSH, Math.round(radius))));
    model.save_changes();
    showChoice();
  }
  brush.input.oninput = () => setBrush(Number(brush.input.value));

  function setMode(name) {
    root.dataset.viewMode = name;
    const share = name === "compare" ? comparison.input.value : 0;
    result.style.clipPath = `inset(0 0 0 ${share}%)`;
    split.style.left = `${share}%`;
    split.hidden = name !== "compare";
    difference.hidden = name !== "difference";
    comparison.node.hidden = name !== "compare";
    modeButtons.forEach((node) => node.setAttribute("aria-pressed", node.dataset.mode === name));
    if (name === "difference") showDifference();
    placeSplit();
  }
  const nextMode = () => setMode(Object.keys(modes)[(Object.keys(modes).indexOf(root.dataset.viewMode) + 1) % 3]);

  function showChoice() {
    Object.assign(root.dataset, {
      shape,
      ink,
      value,
      mirror: Number(mirror),
      undo: trail.past.length,
      redo: trail.future.length,
    });
    shapeButtons.forEach((node) => node.setAttribute("aria-pressed", node.dataset.shape === shape));
    inkButtons.forEach((node) => node.setAttribute("aria-pressed", node.dataset.ink === ink));
    classButtons.forEach((node, i) => node.setAttribute("aria-pressed", ink === "class" && i === value));
    lockButtons.forEach((node, i) => node.setAttribute("aria-pressed", locked.has(i)));
    mirrorButton.setAttribute("aria-pressed", mirror);
    axis.style.display = mirror ? "" : "none";
    brush.input.value = model.get("brush");
    brushText.textContent = model.get("brush");
    undoButton.disabled = !trail.past.length;
    redoButton.disabled = !trail.future.length;
    live.select.value = model.get("live");
    renderButton.hidden = model.get("live") !== "button";
    moving.hidden = shape !== "move";
    const [, , what] = SHAPES[shape];
    const paints = ink === "class" ? titles[value] : INKS[ink][2];
    hint.textContent = ["pick", "move"].includes(shape)
      ? `${what}.`
      : `${what}: it becomes ${paints}. The picture follows.`;
    cursor.style.display = cursorInner.style.display = shape === "brush" ? "" : "none";
    [cursor, cursorInner].forEach((node) => node.setAttribute("r", model.get("brush")));
    showBox();
  }

  function thumbUrls() {
    const bytes = u8(model.get("thumbs"));
    let start = 0;
    return state().thumbSizes.map((length) => {
      const part = bytes.subarray(start, (start += length));
      return `data:image/jpeg;base64,${btoa(String.fromCharCode(...part))}`;
    });
  }

  let shownThumbs = null;
  function showFaces() {
    if (shownThumbs !== model.get("thumbs") || strips[0][0].childElementCount !== state().faces.length) {
      shownThumbs = model.get("thumbs");
      const urls = thumbUrls();
      for (const [node, title, , act] of strips) {
        node.replaceChildren(
          ...urls.map((url, i) => {
            const name = state().faces[i];
            const face = button("face", "", `${title} ${name}`, () => act(i));
            face.append(
              Object.assign(make("img", "thumb", "", { alt: name, draggable: "false" }), { src: url }),
              make("span", "face-name", name),
            );
            face.dataset.face = i;
            return face;
          }),
        );
      }
    }
    for (const [node, , isChosen] of strips)
      [...node.children].forEach((face, i) => face.setAttribute("aria-pressed", isChosen(i)));
  }

  function showState() {
    const now = state();
    showFaces();
    if (document.activeElement !== mix.input) mix.input.value = Math.round(now.mix * 100);
    keep.checked = now.keep !== null;
    if (now.keep !== null && document.activeElement !== strength.input)
      strength.input.value = Math.round(now.keep * 100);
    autosaved.textContent = now.trouble
      ? `${now.trouble} Download what you want to keep.`
      : now.autosaved
        ? `Every change is kept in ${now.autosaved}.`
        : "There is no autosave: download what you want to keep.";
    if (copyButtons.childElementCount === 0) {
      copyButtons.append(
        ...Object.keys(now.components).map((name) => {
          const node = button("action", name, `Copy the ${name} of the chosen face`, () =>
            command("copy_component", { face: source, group: name }),
          );
          node.dataset.group = name;
          return node;
        }),
      );
      directions.append(
        ...now.directions.map((name) => {
          const move = slider("direction", name, { min: -100, max: 100 });
          move.input.dataset.direction = name;
          move.input.oninput = () =>
            command("move_latent", { direction: name, amount: move.input.value / 100 }, { replace: name });
          return move.node;
        }),
      );
    }
    if (parts.select.dataset.groups !== now.groups.join()) {
      parts.select.dataset.groups = now.groups.join();
      parts.select.replaceChildren(...now.groups.map((name) => make("option", "option", name, { value: name })));
      if (!now.groups.includes(group)) group = shape === "move" ? (now.groups[0] ?? null) : null;
      parts.select.value = group ?? "";
    }
    original = unrle(u8(model.get("original")), pixelCount, classes.length);
    target = now.target;
    for (const move of directions.querySelectorAll("input"))
      if (document.activeElement !== move) move.value = 100 * (now.sliders[move.dataset.direction] ?? 0);
    showBox();
  }

  // ---- drawing the mask: its colours, and only where it changed

  const context = canvas.getContext("2d");
  const picture = context.createImageData(size, size);
  const pixels = new Uint32Array(picture.data.buffer);
  const colors = new Uint32Array(new Uint8Array(classes.flatMap((one) => [...one.rgb, 255])).buffer);

  function paint(x0 = 0, y0 = 0, x1 = size, y1 = size) {
    if (x1 <= x0 || y1 <= y0) return;
    for (let y = y0; y < y1; y++) for (let i = y * size + x0; i < y * size + x1; i++) pixels[i] = colors[labels[i]];
    context.putImageData(picture, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }

  // ---- pictures of the kernel

  const shownData = new Map();
  async function showFile(images, name) {
    const data = model.get(name);
    const bytes = u8(data);
    if (shownData.get(name) === data || !bytes.length) return false;
    shownData.set(name, data);
    const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    const probe = Object.assign(new Image(), { src: url });
    try {
      await probe.decode();
      if (shownData.get(name) !== data) return false; // a newer one is on its way
      await Promise.all(
        images.map((image) => {
          image.src = url;
          return image.decode();
        }),
      );
      return true;
    } catch {
      return false;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  async function showPictures() {
    const [changed] = await Promise.all([showFile([result], "picture"), showFile([photo, before], "photo")]);
    if (root.dataset.viewMode === "difference") showDifference();
    if (!changed) return;
    fresh = root.dataset.shown !== "0"; // the first comes with the kernel's results
    root.dataset.shown = Number(root.dataset.shown) + 1;
    addResult();
  }

  function pixelsOf(image) {
    const copy = new OffscreenCanvas(size, size).getContext("2d", { willReadFrequently: true });
    copy.drawImage(image, 0, 0, size, size);
    return copy.getImageData(0, 0, size, size).data;
  }

  /** The largest difference of the three colours, three times as bright. */
  function showDifference() {
    if (!result.naturalWidth || !before.naturalWidth) return;
    const [a, b] = [pixelsOf(result), pixelsOf(before)];
    const out = new ImageData(size, size);
    for (let i = 0; i < out.data.length; i += 4) {
      const most = Math.max(...[0, 1, 2].map((k) => Math.abs(a[i + k] - b[i + k])));
      out.data.set([3 * most, 3 * most, 3 * most, 255], i);
    }
    difference.getContext("2d").putImageData(out, 0, 0);
  }

  function savePicture() {
    const bytes = u8(model.get("picture"));
    if (!bytes.length) return say("There is no picture yet: render one first.", true);
    download("face.jpg", new Blob([bytes], { type: "image/jpeg" }));
  }

  // ---- results to go back to

  let fresh = false; // whether the picture on the screen is not among the results yet
  function addResult() {
    if (!fresh || flight || stroke || newer) return;
    fresh = false;
    const small = document.createElement("canvas");
    small.width = small.height = 96;
    small.getContext("2d").drawImage(result, 0, 0, 96, 96);
    showResult(small, rle(labels), target, "");
  }
  function showResult(thumb, bytes, face, title) {
    thumb.className = "editor-thumb";
    const node = button("face", "", title || "Back to this mask", () => goTo({ bytes, target: face }));
    node.append(thumb);
    results.prepend(node);
    while (results.childElementCount > GALLERY) results.lastChild.remove();
    root.dataset.results = results.childElementCount;
  }

  // ---- view to kernel: one message on its way, the newest mask wins

  let sent = 0;
  let flight = null; // { n, isEdit, since, after }
  let newer = false; // whether the mask changed after it was sent
  let queue = []; // commands that wait for their turn

  function say(text, isError = false) {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("editor-error", isError);
    root.dataset.error = Number(isError);
  }
  function settle() {
    root.dataset.pending = Number(Boolean(flight || newer || stroke || queue.length));
    renderButton.disabled = Boolean(flight);
  }

  /** Whether there is a kernel that takes the message: JupyterLab throws when it is gone. */
  function tell(message, buffers) {
    try {
      model.send(message, undefined, buffers);
      return true;
    } catch {
      flight = null;
      newer = false;
      queue = [];
      root.dataset.kernel = "gone";
      const then = state().autosaved ? "it goes on from the autosave." : "download the mask first (Files, below).";
      say(`The kernel has stopped or was restarted. Run this cell again: ${then}`, true);
      settle();
      return false;
    }
  }

  function push() {
    newer = true;
    next();
  }
  function command(name, args = {}, { replace = "", buffers, after } = {}) {
    // Of a slider only the last place counts.
    if (replace) queue = queue.filter((other) => other.replace !== replace);
    queue.push({ name, args, buffers, after, replace });
    next();
  }
  function next() {
    if (!flight && newer) sendEdit();
    else if (!flight && queue.length && !stroke) sendCommand(queue.shift());
    else if (flight) tell({ type: "ping" });
    settle();
  }
  function sendEdit() {
    if (!tell({ type: "ping" })) return;
    share.input.value = 0;
    known = rle(labels);
    synced = labels.slice();
    newer = false;
    flight = { n: ++sent, isEdit: true, since: performance.now() };
    model.set({ edit: new DataView(known.buffer), seq: [view, flight.n] });
    model.save_changes();
  }
  function sendCommand({ name, args, buffers, after }) {
    if (!["interpolate", "render", "set_keep", "choose_style"].includes(name)) share.input.value = 0;
    flight = { n: ++sent, isEdit: false, since: performance.now(), after };
    tell({ type: "command", view, n: flight.n, name, arguments: args }, buffers);
  }

  async function upload(input, name, read, after) {
    const [file] = input.files;
    if (!file) return;
    say(`Reading ${file.name} …`);
    const data = await read(file);
    input.value = ""; // the same file can be chosen again
    command(name, {}, { buffers: [data], after });
  }

  // ---- kernel to view

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
    const [name, n, error, milliseconds] = model.get("done");
    const answered = flight && name === view && n === flight.n ? flight : null;
    if (answered) {
      flight = null;
      root.dataset.kernel = "alive";
      const took = performance.now() - answered.since;
      root.dataset.latency = Math.round(took);
      say(error ?? `${took.toFixed(0)} ms, of which the kernel took ${milliseconds.toFixed(0)} ms`, Boolean(error));
    } else if (name === "" && error) say(error, true);
    if (!stroke && !flight?.isEdit) pull(Boolean(answered?.isEdit && error));
    showState();
    showPictures();
    if (answered?.after && !error) answered.after();
    if (answered) {
      next();
      root.dataset.ack = n;
      addResult();
    }
    showChoice();
  }

  /** Takes over the kernel's mask, with what has been drawn here since. */
  function pull(isRefusal = false) {
    const bytes = u8(model.get("edit"));
    if (same(bytes, known)) return;
    let theirs;
    try {
      theirs = unrle(bytes, pixelCount, classes.length);
    } catch (error) {
      return say(error.message, true);
    }
    known = bytes.slice();
    const merged = merge(synced, labels, theirs);
    if (isRefusal) trail.past.pop();
    else if (!same(merged, labels)) trail.push(snapshot());
    labels = merged;
    synced = theirs;
    paint();
    if (!same(merged, theirs)) newer = true;
    if (newer) next();
  }

  function onMessage(message, buffers) {
    if (message.type === "hello") {
      root.dataset.hellos = Number(root.dataset.hellos) + 1;
      if (!flight) root.dataset.kernel = "alive";
    } else if (message.type === "gallery" && message.view === view) {
      message.notes.forEach((text, i) => {
        const url = `data:image/jpeg;base64,${btoa(String.fromCharCode(...u8(buffers[2 * i])))}`;
        showResult(
          Object.assign(make("img", "thumb", "", { alt: text }), { src: url }),
          u8(buffers[2 * i + 1]).slice(),
          null,
          text,
        );
      });
    }
  }

  const clock = setInterval(() => {
    if (!flight) return;
    const seconds = Math.round((performance.now() - flight.since) / 1000);
    if (seconds < PATIENCE || !tell({ type: "ping" })) return;
    root.dataset.kernel = "waiting";
    const why =
      seconds < LONG
        ? "a cell may be running"
        : "a cell is running, or the kernel has stopped: then run this cell again";
    say(`Waiting for the kernel … ${seconds} s (${why})`);
  }, 500);

  // ---- changes of the mask, undo and redo

  const snapshot = (of = labels) => ({ bytes: rle(of), target });

  function change(to) {
    if (stroke || same(to, labels)) return;
    trail.push(snapshot());
    put(to);
  }
  function put(to) {
    labels = to;
    paint();
    push();
    showChoice();
  }
  /** Shows a mask of the past; if it is of another face, that face is chosen first. */
  function recall({ bytes, target: face }) {
    const to = unrle(bytes, pixelCount, classes.length);
    if (face === null || face === target) return put(to);
    command(
      "choose_target",
      { face },
      {
        after: () => {
          trail.past.pop(); // choosing a face is no step of its own here
          put(to);
        },
      },
    );
  }
  function goTo(past) {
    if (stroke) return;
    trail.push(snapshot());
    recall(past);
  }
  function travel(way) {
    if (stroke || queue.length || (flight && !flight.isEdit)) return;
    const past = trail[way](snapshot());
    if (past) recall(past);
  }

  // ---- the pointer

  let stroke = null; // { pointer, kind, ... } while something is being drawn or moved
  let lastEnd = null; // where the last stroke ended, for straight lines
  let points = []; // corners of a polygon
  let spaced = false; // whether the space bar is down
  const fingers = new Map();

  /** In pixels of the mask: [0, 0] is the centre of the first. */
  function position(event) {
    const frame = canvas.getBoundingClientRect();
    return [
      ((event.clientX - frame.left) * size) / frame.width - 0.5,
      ((event.clientY - frame.top) * size) / frame.height - 0.5,
    ];
  }
  const inFrame = (event, frame = stage.getBoundingClientRect()) => [
    (event.clientX - frame.left) / frame.width,
    (event.clientY - frame.top) / frame.height,
  ];
  const pixelAt = (point) => point.map((v) => Math.max(0, Math.min(size - 1, Math.round(v))));
  const classAt = ([x, y]) => labels[y * size + x];
  const radiusOf = (event) =>
    model.get("brush") * (event.pointerType === "pen" && event.pressure ? 0.5 + event.pressure : 1);

  function theInk() {
    const allow =
      only === null && !locked.size
        ? undefined
        : new Uint8Array(256).map((_, i) => Number((only === null || i === only) && !locked.has(i)));
    return ink === "original"
      ? { source: original, allow }
      : { value: ink === "background" ? BACKGROUND : value, allow };
  }
  /** Draws with `tool(ink, point => point)`, in the mirror first. */
  function inked(tool) {
    if (mirror) tool(mirrorInk(theInk(), partners), (point) => mirrorPoint(point, size));
    tool(theInk(), (point) => point);
  }
  function line(from, to, radius) {
    inked((ink, place) => paint(...capsule(labels, size, place(from), place(to), radius, ink)));
  }
  function area(corners) {
    inked((ink, place) => polygon(labels, size, corners.map(place), ink));
    paint();
  }

  function show(now) {
    at = fit(now);
    for (const node of [layers, resultLayers])
      node.style.transform = `translate(${at.x * 100}%, ${at.y * 100}%) scale(${at.zoom})`;
    root.dataset.zoom = at.zoom.toFixed(2);
    placeSplit();
    showBox();
  }
  function placeSplit() {
    split.style.left = `${100 * (at.x + (at.zoom * comparison.input.value) / 100)}%`;
  }

  function onDown(event) {
    fingers.set(event.pointerId, event);
    if (event.pointerType === "touch" && fingers.size === 2) return startPinch();
    if (stroke || fingers.size > 1 || ![0, 1].includes(event.button)) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const point = position(event);
    const begin = (kind, more = {}) => {
      stroke = { pointer: event.pointerId, kind, start: point, last: point, before: labels.slice(), ...more };
      settle();
    };
    if (event.button === 1 || spaced) return begin("pan", { from: inFrame(event), at });
    if (event.altKey || shape === "pick") {
      chooseClass(classAt(pixelAt(point)));
      return;
    }
    if (shape === "fill") {
      begin("fill");
      inked((ink, place) => flood(labels, size, ...pixelAt(place(point)), ink));
      paint();
      return;
    }
    if (shape === "move") return startMove(event, point, begin);
    if (shape === "polygon") {
      const near =
        points.length > 2 && Math.hypot(point[0] - points[0][0], point[1] - points[0][1]) * at.zoom < size / 60;
      if (near || event.detail > 1) return finishPoints(true);
      points.push(point);
      showOutline(points);
      return;
    }
    begin(shape, shape === "lasso" ? { points: [point] } : { straight: event.shiftKey });
    onMove(event); // a click paints, too
  }

  function onMove(event) {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
    const point = position(event);
    showCursor(event, point);
    if (stroke?.kind === "pinch") return pinch();
    if (!stroke && points.length) showOutline([...points, point]);
    if (!stroke || event.pointerId !== stroke.pointer) return;
    root.dataset.pointer = event.pointerType;
    if (stroke.kind === "pan") {
      const [x, y] = inFrame(event);
      show({ ...stroke.at, x: stroke.at.x + x - stroke.from[0], y: stroke.at.y + y - stroke.from[1] });
    } else if (stroke.kind === "move") moveTo(point);
    else if (stroke.kind === "lasso") {
      stroke.points.push(point);
      showOutline(stroke.points);
    } else if (stroke.kind === "brush" && stroke.straight) {
      labels.set(stroke.before);
      paint();
      line(stroke.start, point, radiusOf(event));
      stroke.last = point;
    } else if (stroke.kind === "brush") {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) {
        line(stroke.last, position(part), radiusOf(part));
        stroke.last = position(part);
      }
    }
    if (stroke.kind === "brush" && model.get("live") === "drawing") push();
  }

  function onEnd(event) {
    fingers.delete(event.pointerId);
    if (!stroke || (stroke.kind === "pinch" ? fingers.size : event.pointerId !== stroke.pointer)) return;
    const ended = stroke;
    if (
      ended.kind === "brush" &&
      ended.straight &&
      lastEnd &&
      Math.hypot(ended.last[0] - ended.start[0], ended.last[1] - ended.start[1]) < 1
    )
      line(lastEnd, ended.start, radiusOf(event));
    if (ended.kind === "lasso") {
      showOutline([]);
      if (ended.points.length > 2) area(ended.points);
    }
    if (ended.kind === "brush") lastEnd = ended.last;
    stroke = null;
    if (ended.kind === "move") endMove(ended);
    else endStroke(ended.before);
  }

  /** What `before` was before a stroke can be undone; what the kernel has changed meanwhile is taken over. */
  function endStroke(before) {
    if (!same(before, labels)) {
      trail.push(snapshot(before));
      push();
    } else {
      if (!flight?.isEdit) pull();
      next();
    }
    addResult();
    showChoice();
  }
  function cancelStroke() {
    if (!stroke) return;
    const { before, kind } = stroke;
    stroke = null;
    labels = before;
    paint();
    showOutline([]);
    if (kind === "move") clearMove();
    if (kind === "brush" && model.get("live") === "drawing") push();
    settle();
  }

  function finishPoints(fill = false) {
    const corners = points;
    points = [];
    showOutline([]);
    if (!fill || corners.length < 3) return;
    const before = labels.slice();
    area(corners);
    endStroke(before);
  }
  function showOutline(corners) {
    outline.setAttribute("points", corners.map((point) => point.join()).join(" "));
    root.dataset.corners = corners.length;
  }

  function showCursor(event, point) {
    [cursor, cursorInner].forEach((node) => {
      node.setAttribute("cx", point[0]);
      node.setAttribute("cy", point[1]);
      node.setAttribute("r", radiusOf(event));
    });
    const inside = point.every((v) => v >= -0.5 && v < size - 0.5);
    hovered = inside ? classAt(pixelAt(point)) : null;
    under.textContent = inside ? titles[hovered] : "";
  }
  let hovered = null; // the class under the pointer

  function startPinch() {
    cancelStroke();
    const [a, b] = [...fingers.values()].map((event) => inFrame(event));
    stroke = { kind: "pinch", a, b, at, before: labels };
    settle();
  }
  function pinch() {
    if (fingers.size !== 2) return;
    const [a, b] = [...fingers.values()].map((event) => inFrame(event));
    const far = (p, q) => Math.max(0.01, Math.hypot(p[0] - q[0], p[1] - q[1]));
    const middle = (p, q) => [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
    const [old, now] = [middle(stroke.a, stroke.b), middle(a, b)];
    const zoomed = zoomAt(stroke.at, old, far(a, b) / far(stroke.a, stroke.b));
    show({ ...zoomed, x: zoomed.x + now[0] - old[0], y: zoomed.y + now[1] - old[1] });
  }

  function onWheel(event) {
    if (!root.contains(document.activeElement) && !event.ctrlKey) return; // the page scrolls
    const by = event.deltaY || event.deltaX;
    if (event.shiftKey) setBrush(model.get("brush") - Math.sign(by) * Math.max(1, model.get("brush") * 0.1));
    else if (by > 0 && at.zoom === 1) return;
    else show(zoomAt(at, inFrame(event, event.currentTarget.getBoundingClientRect()), Math.exp(-by / 400)));
    event.preventDefault();
  }

  function onSplit(event) {
    if (root.dataset.viewMode !== "compare" || !event.buttons) return;
    event.preventDefault();
    const [x] = inFrame(event, resultLayers.getBoundingClientRect());
    comparison.input.value = 100 * Math.max(0, Math.min(1, x));
    setMode("compare");
  }

  // ---- moving a part: shown here at once, done by the kernel, which closes the hole

  const idsOf = (name) => state().components[name] ?? [];
  function choosePart(name) {
    group = name || null;
    parts.select.value = group ?? "";
    showBox();
  }
  /** The part's box as [centre, half its sides], or null. */
  function partBox() {
    const edges = group && shape === "move" ? boxOf(labels, size, idsOf(group)) : null;
    if (!edges) return null;
    const [x0, y0, x1, y1] = edges;
    return { centre: [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2], half: [(x1 - x0) / 2, (y1 - y0) / 2] };
  }
  const STILL = { down: 0, right: 0, scale: 1, degrees: 0 };
  function turned([x, y], { scale, degrees }) {
    const [cos, sin] = [Math.cos, Math.sin].map((f) => scale * f((degrees * Math.PI) / 180));
    return [cos * x - sin * y, sin * x + cos * y];
  }
  function showBox(by = STILL, part = partBox()) {
    root.dataset.part = part ? group : "";
    for (const node of [box, ...handles]) node.style.display = part ? "" : "none";
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
    const stem = (0.06 * size) / at.zoom / by.scale;
    [...corners, placed([0, -h - stem])].forEach(([x, y], i) => {
      handles[i].setAttribute("cx", x);
      handles[i].setAttribute("cy", y);
      handles[i].setAttribute("r", (0.014 * size) / at.zoom);
    });
  }
  function startMove(event, point, begin) {
    const handle = event.target.dataset?.handle;
    let part = partBox();
    const inside = part && point.every((v, k) => Math.abs(v - part.centre[k]) <= part.half[k]);
    if (handle === undefined && !inside) {
      const clicked = classAt(pixelAt(point));
      const holding = state().groups.filter((name) => idsOf(name).includes(clicked));
      choosePart(holding.sort((a, b) => idsOf(a).length - idsOf(b).length)[0] ?? "");
      part = partBox();
      if (!part) return;
    }
    begin("move", { handle, part, image: cutOut(idsOf(group)), by: STILL });
  }
  function cutOut(ids) {
    const copy = new OffscreenCanvas(size, size);
    const image = new ImageData(size, size);
    const data = new Uint32Array(image.data.buffer);
    labels.forEach((id, i) => ids.includes(id) && (data[i] = colors[id]));
    copy.getContext("2d").putImageData(image, 0, 0);
    return copy;
  }
  function moveTo(point) {
    const { handle, part, start, image } = stroke;
    const [from, to] = [start, point].map((p) => [p[0] - part.centre[0], p[1] - part.centre[1]]);
    if (handle === undefined) stroke.by = { ...STILL, right: point[0] - start[0], down: point[1] - start[1] };
    else if (handle === "turn")
      stroke.by = { ...STILL, degrees: ((Math.atan2(to[1], to[0]) - Math.atan2(from[1], from[0])) * 180) / Math.PI };
    else
      stroke.by = { ...STILL, scale: Math.max(0.2, Math.min(5, Math.hypot(...to) / Math.max(1, Math.hypot(...from)))) };
    const pen = floating.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, size, size);
    pen.imageSmoothingEnabled = false;
    const { right, down, scale, degrees } = stroke.by;
    const [x, y] = part.centre.map((v) => v + 0.5); // a canvas counts from the first pixel's corner
    pen.translate(x + right, y + down);
    pen.rotate((degrees * Math.PI) / 180);
    pen.scale(scale, scale);
    pen.drawImage(image, -x, -y);
    showBox(stroke.by, part);
  }
  function clearMove() {
    const pen = floating.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, size, size);
    showBox();
  }
  function endMove({ by }) {
    const moved = by.right || by.down || by.scale !== 1 || by.degrees;
    clearMove();
    if (moved) command("transform_component", { group, ...by });
    else endStroke(labels);
  }
  function nudge(by, times = 1) {
    if (!group) return say("Choose a part first: click it on the mask.", true);
    const far = step() * times;
    command("transform_component", {
      group,
      ...STILL,
      ...by,
      right: (by.right ?? 0) * far,
      down: (by.down ?? 0) * far,
    });
  }

  // ---- keys

  const byKey = {
    "[": () => setBrush(model.get("brush") - Math.max(1, model.get("brush") * 0.15)),
    "]": () => setBrush(model.get("brush") + Math.max(1, model.get("brush") * 0.15)),
    "+": () => show(zoomAt(at, [0.5, 0.5], 1.5)),
    "=": () => show(zoomAt(at, [0.5, 0.5], 1.5)),
    "-": () => show(zoomAt(at, [0.5, 0.5], 1 / 1.5)),
    z: () => show({ zoom: 1, x: 0, y: 0 }),
    m: () => setMirror(!mirror),
    d: nextMode,
    q: () => setOnly(only === null ? hovered : null),
    enter: () => (points.length ? finishPoints(true) : command("render")),
    backspace: () => {
      points.pop();
      showOutline(points);
    },
    escape: () => {
      if (stroke) cancelStroke();
      else if (points.length) finishPoints();
      else document.activeElement.blur();
    },
  };
  Object.entries(SHAPES).forEach(([name, [, key]]) => (byKey[key] = () => chooseShape(name)));
  Object.entries(INKS).forEach(([name, [, key]]) => (byKey[key] = () => chooseInk(ink === name ? "class" : name)));
  [...KEYS].forEach((key, i) => (byKey[key] = () => chooseClass(i)));
  const arrows = { arrowleft: { right: -1 }, arrowright: { right: 1 }, arrowup: { down: -1 }, arrowdown: { down: 1 } };

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
    else if (arrows[key] && shape === "move" && tag !== "INPUT") act = () => nudge(arrows[key], event.shiftKey ? 5 : 1);
    else act = byKey[key];
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

  // ---- start, and clean up

  root.addEventListener("keydown", onKey);
  root.addEventListener("keyup", onKeyUp);
  // After a click the keys go on: a button that the mouse has pressed would take the space bar for itself.
  root.addEventListener("click", (event) => {
    if (event.detail && event.target.closest("button")) root.focus({ preventScroll: true });
  });
  stage.addEventListener("pointerdown", onDown);
  stage.addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) stage.addEventListener(name, onEnd);
  stage.addEventListener("pointerleave", () => (under.textContent = ""));
  for (const node of [stage, resultStage]) node.addEventListener("wheel", onWheel, { passive: false });
  resultStage.addEventListener("pointerdown", onSplit);
  resultStage.addEventListener("pointermove", onSplit);
  const events = ["edit", "done", "state", "picture", "photo", "original", "thumbs", "brush", "live"].map(
    (name) => `change:${name}`,
  );
  events.forEach((event) => model.on(event, hear));
  model.on("msg:custom", onMessage);
  root.readMask = () => Array.from(rle(labels)); // for tests

  opacity.input.oninput();
  setMode("picture");
  show(at);
  paint();
  showState();
  showChoice();
  showPictures();
  // JupyterLab can deliver messages while a cell runs, but only to who has been answered on that second way before.
  const sayReady = () => {
    try {
      model.send({ type: "ready" });
    } catch {
      // Without a kernel, as in a saved page. The first stroke will say so.
    }
  };
  sayReady();
  const again = setTimeout(sayReady, 1000);
  try {
    model.send({ type: "gallery", view });
  } catch {
    // As above.
  }

  return () => {
    clearInterval(clock);
    clearTimeout(again);
    events.forEach((event) => model.off(event, hear));
    model.off("msg:custom", onMessage);
  };
}

export default { render };
