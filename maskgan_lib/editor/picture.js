// The picture that the kernel makes of the mask, beside the photo: as it is, compared with it, the difference to it.

import { u8 } from "./core.js";
import { command } from "./drawing.js";
import { button, chooser, download, field, make, slider } from "./elements.js";
import { isIdle } from "./kernel.js";
import { inFrame, placed } from "./mask.js";
import { LIVE, MODES } from "./words.js";

export function makePicture(editor) {
  const { size, root } = editor;
  const isMode = (name) => root.dataset.viewMode === name;
  const comparison = slider("comparison", "Before | after", { value: 50, oninput: () => setMode(editor, "compare") });
  const before = make("img", "photo", { alt: "the photo", draggable: false });
  const style = () => `clip-path: inset(0 0 0 ${isMode("compare") ? comparison.value : 0}%)`;
  const result = make("img", "photo", { alt: "the picture of the mask", draggable: false, style });
  const described = { role: "img", "aria-label": "difference to the photo", hidden: () => !isMode("difference") };
  const difference = make("canvas", "photo", { width: size, height: size, ...described });
  const layers = make("div", "layers", { style: () => placed(editor) }, before, result, difference);
  const left = () => `left: ${100 * (editor.at.x + (editor.at.zoom * comparison.value) / 100)}%`;
  const split = make("div", "split", { hidden: () => !isMode("compare"), style: left });
  const compare = (event) => {
    if (!isMode("compare") || !event.buttons) return;
    event.preventDefault();
    comparison.value = 100 * Math.max(0, Math.min(1, inFrame(event, layers)[0]));
    setMode(editor, "compare");
  };
  editor.pictureFrame = make("div", "stage", { onpointerdown: compare, onpointermove: compare }, layers, split);
  Object.assign(editor, { before, result, difference, shown: new Map() }); // data of the pictures on the screen, by trait
  const modes = Object.entries(MODES).map(([name, text]) => {
    const pressed = { "data-mode": name, "aria-pressed": () => isMode(name) };
    return button("mode", text, `${text} (d)`, () => setMode(editor, name), pressed);
  });
  const compared = field("Before | after", comparison, { hidden: () => !isMode("compare") });
  const controls = [make("div", "cluster", {}, ...modes), compared, ...makeControls(editor)];
  return make("div", "side right", {}, editor.pictureFrame, make("div", "below", {}, ...controls));
}

function makeControls(editor) {
  const { methods } = editor.state;
  const method = chooser("method", "Method", () => methods.map((name) => [name, name]), {
    value: () => (isIdle(editor) ? editor.state.method : undefined),
    ...editor.slides((name, options) => command(editor, "choose_method", { name }, options)),
    oninput: null,
  });
  const live = chooser("live", "Render", () => LIVE, {
    value: () => editor.model.get("live"),
    onchange: () => {
      editor.set("live", live.value);
      if (live.value !== "button") command(editor, "render");
    },
  });
  const onButton = { hidden: () => editor.model.get("live") !== "button", disabled: () => Boolean(editor.kernel.flight) };
  const render = () => command(editor, "render");
  return [
    field("Method", method, { title: "What makes the picture of the mask", hidden: methods.length < 2 }),
    field("Render", live),
    button("render", "Render", "Make a picture of the mask (Enter)", render, onButton),
    makeKeeping(editor),
  ];
}

function makeKeeping(editor) {
  const kept = () => (isIdle(editor) ? editor.state.keep : undefined);
  const set = (share, options) => command(editor, "set_keep", { strength: share }, options);
  const strength = slider("strength", "Strength", {
    value: () => (kept() == null ? undefined : Math.round(100 * kept())),
    ...editor.slides((value, options) => set(value / 100, options)),
  });
  const checked = () => (kept() === undefined ? undefined : kept() !== null);
  const onchange = () => set(keep.checked ? strength.value / 100 : null);
  const keep = make("input", "keep", { type: "checkbox", checked, onchange });
  strength.value = 100;
  const title = "Outside the edit the photo's own pixels stay";
  const label = make("label", "field", { title }, keep, make("span", "field-name", {}, "Keep what was not edited"));
  return make("div", "field", {}, label, field("Strength", strength));
}

function setMode(editor, name) {
  editor.root.dataset.viewMode = name;
  showDifference(editor);
  editor.refresh();
}
export function nextMode(editor) {
  const names = Object.keys(MODES);
  setMode(editor, names[(names.indexOf(editor.root.dataset.viewMode) + 1) % names.length]);
}

/** Shows what the kernel has sent. */
export async function showPictures(editor) {
  const { root, result, photo, before } = editor;
  const files = [showFile(editor, [result], "picture"), showFile(editor, [photo, before], "photo")];
  const [changed] = await Promise.all(files);
  showDifference(editor);
  if (changed) root.dataset.shown = Number(root.dataset.shown) + 1;
}
async function showFile({ model, shown }, images, name) {
  const data = model.get(name);
  const bytes = u8(data);
  if (shown.get(name) === data || !bytes.length) return false;
  shown.set(name, data);
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  const probe = Object.assign(new Image(), { src: url });
  try {
    await probe.decode();
    if (shown.get(name) !== data) return false; // a newer one is on its way
    for (const image of images) image.src = url;
    await Promise.all(images.map((image) => image.decode()));
    return true;
  } catch {
    return false;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The largest difference of the three colours, three times as bright. */
function showDifference({ root, size, before, result, difference }) {
  if (root.dataset.viewMode !== "difference" || !result.naturalWidth || !before.naturalWidth) return;
  const [a, b] = [result, before].map((image) => {
    const copy = new OffscreenCanvas(size, size).getContext("2d", { willReadFrequently: true });
    copy.drawImage(image, 0, 0, size, size);
    return copy.getImageData(0, 0, size, size).data;
  });
  const out = new ImageData(size, size);
  for (let i = 0; i < out.data.length; i += 4) {
    const most = Math.max(...[0, 1, 2].map((k) => Math.abs(a[i + k] - b[i + k])));
    out.data.set([3 * most, 3 * most, 3 * most, 255], i);
  }
  difference.getContext("2d").putImageData(out, 0, 0);
}

export function savePicture(editor) {
  const bytes = u8(editor.model.get("picture"));
  if (!bytes.length) return editor.say("There is no picture yet: render one first.", true);
  download("face.jpg", new Blob([bytes], { type: "image/jpeg" }));
}
