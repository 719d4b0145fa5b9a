// The panels below the pictures: results, other faces, shape, files, keys.

import { maskPng, u8 } from "./core.js";
import { button, chooser, download, make, panel, slider, thumbnail, within } from "./elements.js";
import { HELP } from "./words.js";

const GALLERY = 24;
const UPLOAD_SIDE = 2048; // larger photos are made smaller before they travel
const UPLOAD_BYTES = 8e6; // a kernel's connection breaks at 10 MiB
/** Commands after which a blend goes on. */
const BESIDE_THE_MASK = ["render", "set_keep", "choose_style", "choose_method", "preview_attributes"];

const ONE_STYLE = "This method has one style for the whole picture";

const note = (text) => make("p", "note", text);

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

/**
 * state()        the kernel's
 * goTo(result)   back to a result, { bytes, target }
 * savePicture()  downloads the picture
 */
export function makePanels({ model, state, sheet, classes, command, goTo, savePicture, say }) {
  const strips = []; // { node, title of a face's button, isChosen(face), act(face) }
  function strip(name, title, isChosen, act) {
    const node = make("div", `strip ${name}`, "", { role: "group", "aria-label": name });
    strips.push({ node, title, isChosen, act });
    return node;
  }

  const results = make("div", "strip results", "", { role: "group", "aria-label": "results" });

  const where = chooser("where", "Where", [
    ["", "the whole picture"],
    ...state().regions.map((name) => [name, ""]),
  ]);
  const mix = slider("mix", "Mix", { value: 100 });
  const asAround = button("action", "No style of its own", "The region looks like what is around it again", () =>
    chooseStyle(...state().stylesAround[where.select.value]),
  );
  const regionNote = note("");
  /** Face and mix of the style where it is being chosen: a region without its own has that around it. */
  function styleThere() {
    const { regionStyles, stylesAround, style, mix } = state();
    return regionStyles[where.select.value] ?? stylesAround[where.select.value] ?? [style, mix];
  }
  function chooseStyle(face, share, replace) {
    const region = where.select.value || null;
    command("choose_style", { face, mix: share, region }, { replace: replace && `${replace} ${region}` });
  }
  const showMix = () => (mix.input.value = Math.round(styleThere()[1] * 100));
  function showStyle() {
    showRegions();
    showFaces();
    if (document.activeElement !== mix.input) showMix();
    asAround.hidden = !(where.select.value in state().regionStyles);
  }
  /** Marks the regions that have a style of their own; a method that cannot draw them offers none. */
  function showRegions() {
    const { regional, regionStyles, faces } = state();
    if (!regional) where.select.value = "";
    where.select.disabled = !regional;
    where.node.title = regional ? "" : ONE_STYLE;
    for (const option of [...where.select.options].slice(1))
      option.textContent = `only the ${option.value}${option.value in regionStyles ? " •" : ""}`;
    const own = Object.entries(regionStyles).map(
      ([name, [face, share]]) => `${name} (${faces[face]}, ${Math.round(100 * share)}%)`,
    );
    regionNote.hidden = !own.length;
    regionNote.textContent = regional
      ? `In a style of their own: ${own.join(", ")}.`
      : `${ONE_STYLE}. Kept, but not drawn: ${own.join(", ")}.`;
  }
  where.select.onchange = () => {
    showMix();
    showStyle();
  };
  mix.input.oninput = () => chooseStyle(styleThere()[0], mix.input.value / 100, "mix");
  const styles = strip(
    "style",
    "Take the style of",
    (i) => i === styleThere()[0],
    (i) => chooseStyle(i, mix.input.value / 100),
  );

  let source = Math.min(1, state().faces.length - 1); // the face that parts are copied from
  const sources = strip(
    "source",
    "Copy from",
    (i) => i === source,
    (i) => {
      source = i;
      showFaces();
    },
  );
  const copyButtons = Object.keys(state().components).map((name) => {
    const copy = () => command("copy_component", { face: source, group: name });
    const node = button("action", name, `Copy the ${name} of the chosen face`, copy);
    node.dataset.group = name;
    return node;
  });

  const targets = strip(
    "target",
    "Edit",
    (i) => i === state().target,
    (i) => command("choose_target", { face: i }),
  );

  let towards = source;
  const share = slider("share", "How far");
  share.input.oninput = () =>
    command("interpolate", { face: towards, share: share.input.value / 100 }, { replace: "share" });
  const directions = state().directions.map((name) => {
    const { input, node } = slider("direction", name.replaceAll("_", " "), { min: -100, max: 100 });
    input.dataset.direction = name;
    input.oninput = () => command("move_latent", { direction: name, amount: input.value / 100 }, { replace: name });
    return { name, input, node };
  });
  function shapePanel() {
    const blends = strip(
      "towards",
      "Blend with",
      (i) => i === towards,
      (i) => {
        towards = i;
        share.input.value = 0;
        showFaces();
      },
    );
    const random = () => command("random_edit", { seed: Math.floor(Math.random() * 2 ** 31) });
    return panel(
      "shape-panel",
      "Shape (MaskVAE)",
      false,
      within(make("div", "directions"), ...directions.map((one) => one.node)),
      note("Blend the mask with that of another face:"),
      blends,
      within(
        make("div", "below"),
        share.node,
        button("action", "Random edit", "A random change that keeps the mask plausible", random),
      ),
    );
  }

  function picker(accept, name, read, after) {
    const input = make("input", "file", "", { type: "file", accept, hidden: "" });
    input.onchange = async () => {
      const [file] = input.files;
      if (!file) return;
      say(`Reading ${file.name} …`);
      const data = await read(file);
      input.value = ""; // the same file can be chosen again
      command(name, {}, { buffers: [data], after });
    };
    return input;
  }
  const maskFile = picker("image/png", "load_mask", (file) => file.slice(0, UPLOAD_BYTES).arrayBuffer());
  const photoFile = picker("image/*", "add_photo", photoBytes, () =>
    command("choose_target", { face: state().faces.length - 1 }),
  );
  async function saveMask() {
    const colors = classes.map((one) => one.rgb);
    download("mask.png", await maskPng(sheet.labels, sheet.size, colors));
  }
  const autosaved = note("");

  const node = within(
    make("div", "panels"),
    panel("results-panel", "Results of this session", true, note("Click one to go back to its mask."), results),
    panel(
      "style-panel",
      "Style from another face",
      true,
      note("Colours, light and hair of the face that you click, for the whole picture or a part of it."),
      styles,
      within(make("div", "below"), where.node, mix.node, asAround),
      regionNote,
    ),
    panel("target-panel", "Edit another face", false, note("Your mask stays in the undo steps."), targets),
    ...(directions.length ? [shapePanel()] : []),
    panel(
      "copy-panel",
      "Copy a part from another face",
      true,
      note("Choose a face, then a part."),
      sources,
      within(make("div", "cluster wrap"), ...copyButtons),
    ),
    panel(
      "files-panel",
      "Files",
      false,
      within(
        make("div", "cluster wrap"),
        button("action", "Download mask", "A PNG of class ids in the palette's colours", saveMask),
        button("action", "Download picture", "The picture on the right, as JPEG", savePicture),
        button("action", "Open a mask …", "A PNG of class ids 0 to 18", () => maskFile.click()),
        button("action", "Open a photo …", "A photo of a face: it is cut out and its mask is found", () =>
          photoFile.click(),
        ),
      ),
      maskFile,
      photoFile,
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

  let shownThumbs = null;
  let shownCount = 0;
  function showFaces() {
    const { faces, thumbSizes } = state();
    if (shownThumbs !== model.get("thumbs") || shownCount !== faces.length) {
      shownThumbs = model.get("thumbs");
      shownCount = faces.length;
      let start = 0;
      const files = thumbSizes.map((length) => u8(shownThumbs).subarray(start, (start += length)));
      for (const { node, title, act } of strips)
        node.replaceChildren(
          ...faces.map((name, i) => {
            const face = button("face", "", `${title} ${name}`, () => act(i));
            face.append(thumbnail(files[i], name), make("span", "face-name", name));
            face.dataset.face = i;
            return face;
          }),
        );
    }
    for (const { node, isChosen } of strips)
      [...node.children].forEach((face, i) => face.setAttribute("aria-pressed", isChosen(i)));
  }

  function show() {
    const now = state();
    showStyle();
    for (const { name, input } of directions)
      if (document.activeElement !== input) input.value = 100 * (now.sliders[name] ?? 0);
    autosaved.textContent = now.trouble
      ? `${now.trouble} Download what you want to keep.`
      : now.autosaved
        ? `Every change is kept in ${now.autosaved}.`
        : "There is no autosave: download what you want to keep.";
  }

  return {
    node,
    show,
    /** Puts a small picture in front of the results; a click goes back to `result`. */
    addResult: (picture, result, title = "") => {
      const node = button("face", "", title || "Back to this mask", () => goTo(result));
      node.append(picture);
      results.prepend(node);
      while (results.childElementCount > GALLERY) results.lastChild.remove();
      return results.childElementCount;
    },
    /** A command leaves, or a mask ("edit"): a blend begins anew from the mask that it makes. */
    sending: (name) => {
      if (name !== "interpolate" && !BESIDE_THE_MASK.includes(name)) share.input.value = 0;
    },
  };
}
