// The picture that the kernel makes of the mask, beside the photo: as it is, compared with it, the difference to it.

import { u8 } from "./core.js";
import { button, chooser, download, make, slider, within } from "./elements.js";
import { LIVE, MODES } from "./words.js";

/** onPicture(): a new picture is on the screen. `photo` shows the photo on the mask's side. */
export function makePicture({ model, size, photo, command, say, onMode, onPicture }) {
  const before = make("img", "photo", "", { alt: "the photo", draggable: "false" });
  const result = make("img", "photo", "", { alt: "the picture of the mask", draggable: "false" });
  const difference = make("canvas", "photo", "", {
    width: size,
    height: size,
    role: "img",
    "aria-label": "difference to the photo",
  });
  const split = make("div", "split");
  const layers = within(make("div", "layers"), before, result, difference);
  const stage = within(make("div", "stage"), layers, split);
  let mode = "picture";
  let at = { zoom: 1, x: 0, y: 0 };

  const modeButtons = Object.entries(MODES).map(([name, text]) => {
    const node = button("mode", text, `${text} (d)`, () => setMode(name));
    node.dataset.mode = name;
    return node;
  });
  const comparison = slider("comparison", "Before | after", { value: 50 });
  comparison.input.oninput = () => setMode("compare");
  const live = chooser("live", "Render", LIVE);
  live.select.onchange = () => {
    model.set("live", live.select.value);
    model.save_changes();
    showLive();
    if (live.select.value !== "button") command("render");
  };
  const methods = model.get("state").methods.map((name) => [name, name]);
  const method = chooser("method", "Method", methods);
  method.node.title = "What makes the picture of the mask";
  method.node.hidden = methods.length < 2;
  method.select.onchange = () => command("choose_method", { name: method.select.value }, { replace: "method" });
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
  const keepTitle = "Outside the edit the photo's own pixels stay";
  const keepText = make("span", "field-name", "Keep what was not edited");
  const node = within(
    make("div", "side right"),
    stage,
    within(
      make("div", "below"),
      within(make("div", "cluster"), ...modeButtons),
      comparison.node,
      method.node,
      live.node,
      renderButton,
      within(
        make("div", "field"),
        within(make("label", "field", "", { title: keepTitle }), keep, keepText),
        strength.node,
      ),
    ),
  );

  function setMode(name) {
    mode = name;
    onMode(name);
    const share = name === "compare" ? comparison.input.value : 0;
    result.style.clipPath = `inset(0 0 0 ${share}%)`;
    split.hidden = name !== "compare";
    difference.hidden = name !== "difference";
    comparison.node.hidden = name !== "compare";
    modeButtons.forEach((node) => node.setAttribute("aria-pressed", node.dataset.mode === name));
    if (name === "difference") showDifference();
    place(at);
  }
  const modes = Object.keys(MODES);
  const nextMode = () => setMode(modes[(modes.indexOf(mode) + 1) % modes.length]);

  /** Zoomed and moved as the mask is. */
  function place(now) {
    at = now;
    split.style.left = `${100 * (at.x + (at.zoom * comparison.input.value) / 100)}%`;
  }

  function onSplit(event) {
    if (mode !== "compare" || !event.buttons) return;
    event.preventDefault();
    const frame = layers.getBoundingClientRect();
    comparison.input.value = 100 * Math.max(0, Math.min(1, (event.clientX - frame.left) / frame.width));
    setMode("compare");
  }
  stage.addEventListener("pointerdown", onSplit);
  stage.addEventListener("pointermove", onSplit);

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

  /** Shows what the kernel has sent. */
  async function show() {
    const [changed] = await Promise.all([showFile([result], "picture"), showFile([photo, before], "photo")]);
    if (mode === "difference") showDifference();
    if (changed) onPicture();
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

  function save() {
    const bytes = u8(model.get("picture"));
    if (!bytes.length) return say("There is no picture yet: render one first.", true);
    download("face.jpg", new Blob([bytes], { type: "image/jpeg" }));
  }

  function showLive() {
    live.select.value = model.get("live");
    renderButton.hidden = model.get("live") !== "button";
  }

  const showMethod = (name) => (method.select.value = name);

  function showKeep(value) {
    keep.checked = value !== null;
    if (value !== null && document.activeElement !== strength.input) strength.input.value = Math.round(value * 100);
  }

  /** A small copy of the picture. */
  function small(side) {
    const copy = make("canvas", "thumb", "", { width: side, height: side });
    copy.getContext("2d").drawImage(result, 0, 0, side, side);
    return copy;
  }

  return {
    node,
    stage,
    layers,
    setMode,
    nextMode,
    place,
    show,
    save,
    showLive,
    showMethod,
    showKeep,
    small,
    allowRender: (is) => (renderButton.disabled = !is),
  };
}
