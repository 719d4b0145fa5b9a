// Attributes, and the panels below the pictures: results, other faces, shape, files, keys.

import { maskPng, same } from "./core.js";
import { applyAttributes, cancelAttributes, command, isMoved } from "./drawing.js";
import { button, chooser, download, field, list, make, note, panel, slider } from "./elements.js";
import { isIdle, tell } from "./kernel.js";
import { savePicture } from "./picture.js";
import { HELP } from "./words.js";

const UPLOAD_BYTES = 8e6; // a kernel's connection breaks at 10 MiB: larger photos are made smaller before they travel
const UPLOAD_SIDE = 4096;
const ONE_STYLE = "This method has one style for the whole picture";

const spaced = (name) => name.replaceAll("_", " ");
const percent = (share) => Math.round(100 * share);

export function makePanels(editor) {
  const { state } = editor;
  const results = makeStrip(editor, "results", () => (isIdle(editor) ? [...editor.state.results].reverse() : undefined), {
    title: "Back to:",
    act: (_, result) => command(editor, "go_back", { result }),
  });
  const targets = makeFaces(editor, "target", {
    title: "Edit",
    isChosen: (face) => face === editor.state.target,
    act: (face) => command(editor, "choose_target", { face }),
  });
  const help = HELP.flatMap(([keys, does]) => [make("dt", "help-key", {}, keys), make("dd", "help-text", {}, does)]);
  return make(
    "div",
    "panels",
    {},
    panel("results-panel", "Results of this session", true, note("Click one to go back to it."), results),
    makeStyles(editor),
    panel("target-panel", "Edit another face", false, note("Your mask stays in the undo steps."), targets),
    ...(state.directions.length ? [makeShapes(editor)] : []),
    makeParts(editor),
    makeFiles(editor),
    panel("keys-panel", "Keys", false, make("dl", "help", {}, ...help)),
  );
}

/** A row of small pictures, of `items()`: pairs of key and name. `act` and `isChosen` are called with place and key. */
function makeStrip(editor, name, items, { title, act, isChosen }) {
  const row = make("div", `strip ${name}`, { role: "group", "aria-label": name });
  return list(row, items, ([key, text], i) => {
    const attributes = { "data-face": i, ...(isChosen ? { "aria-pressed": () => isChosen(i) } : {}) };
    const picture = make("img", "thumb", { src: () => editor.thumbs.get(key), alt: text, draggable: false });
    const node = button("face", picture, `${title} ${text}`, () => act(i, key), attributes);
    node.append(make("span", "face-name", {}, text));
    return node;
  });
}
const makeFaces = (editor, name, options) => makeStrip(editor, name, () => editor.state.faces, options);

/** A row of faces of which one, at first the second, is chosen here: the row, and what gives its place. */
function makeChoice(editor, name, title) {
  let chosen = Math.min(1, editor.state.faces.length - 1);
  const isChosen = (face) => face === chosen;
  const act = (face) => {
    chosen = face;
    editor.refresh();
  };
  return [makeFaces(editor, name, { title, isChosen, act }), () => chosen];
}

// ---- attributes that a mask is given or loses: the kernel makes a preview of it, which is then applied or dropped

export function makeAttributes(editor) {
  const { attributes } = editor.state;
  const about = "Press what the face should be, or drag: the mask shows a preview. Several can be moved at once.";
  const disabled = () => !isMoved(editor);
  const title = "Make the preview the mask, and its picture (Enter)";
  const apply = button("apply", "Apply", title, () => applyAttributes(editor), { disabled });
  const leave = "Leave the mask as it was (Esc)";
  const cancel = button("action", "Cancel", leave, () => cancelAttributes(editor), { disabled });
  const fields = make("div", "attribute-fields", {}, ...attributes.map((one) => makeAttribute(editor, one)));
  const node = panel("attributes", "Attributes (SeCGAN)", true, note(about), fields);
  node.append(make("div", "below", {}, apply, cancel));
  node.hidden = !attributes.length;
  return node;
}

function makeAttribute(editor, [name, ...words]) {
  const title = spaced(name);
  const value = () => percent(editor.amounts[name] ?? 0);
  const put = (amount) => preview(editor, name, amount);
  const input = slider("attribute", title, {
    ...{ min: -100, value, oninput: () => put(input.value / 100) },
    ...{ "data-attribute": name, "aria-valuetext": () => inWords(editor, name) },
  });
  const ends = [-1, 1].map((end, i) => {
    const does = i ? "Give the face this attribute" : "Take this attribute away";
    const act = () => put(editor.amounts[name] === end ? 0 : end);
    const pressed = { "aria-pressed": () => editor.amounts[name] === end };
    return button("end", words[i], `${does} (${title}); once more: leave it as it is`, act, pressed);
  });
  return make("div", "attribute-field", { role: "group", "aria-label": title }, ends[0], input, ends[1]);
}

/** "80% smiling", or that nothing changes. */
function inWords({ amounts, state }, name) {
  const amount = amounts[name];
  const [, ...words] = state.attributes.find(([other]) => other === name);
  return amount ? `${percent(Math.abs(amount))}% ${words[Number(amount > 0)]}` : "as it is";
}
function preview(editor, name, amount) {
  const { [name]: _, ...others } = editor.amounts;
  editor.amounts = amount ? { ...others, [name]: amount } : others;
  if (!isMoved(editor)) return cancelAttributes(editor);
  const options = { gesture: "preview", after: () => sayPreview(editor) };
  command(editor, "preview_attributes", { amounts: editor.amounts }, options);
}
function sayPreview(editor) {
  const { sheet, amounts, state } = editor;
  const names = state.attributes.map(([name]) => name).filter((name) => amounts[name]);
  const words = names.map((name) => inWords(editor, name)).join(", ");
  const then = "Apply (Enter) makes it the mask, Cancel (Esc) leaves the mask as it was.";
  const nothing = `The mask stays as it is with ${words}: there may be no more of it to change.`;
  if (words) editor.say(same(sheet.seen, sheet.labels) ? nothing : `Preview: ${words}. ${then}`);
}

// ---- the style of another face, for the whole picture or a region of it

function makeStyles(editor) {
  let region = "";
  /** Face and mix of the style where it is being chosen: a region without its own has that around it. */
  const there = () => {
    const { region_styles, styles_around, style, style_mix } = editor.state;
    return region_styles[region] ?? styles_around[region] ?? [style, style_mix];
  };
  const choose = (face, mix, options) => command(editor, "choose_style", { face, mix, region: region || null }, options);
  const where = chooser("where", "Where", () => regionOptions(editor.state), {
    value: () => (region = editor.state.regional ? region : ""),
    disabled: () => !editor.state.regional,
    onchange: () => {
      region = where.value;
      editor.refresh();
    },
  });
  const mix = slider("mix", "Mix", {
    value: () => (isIdle(editor) ? percent(there()[1]) : undefined),
    ...editor.slides((value, options) => choose(there()[0], value / 100, options)),
  });
  const around = () => choose(...editor.state.styles_around[region]);
  const hidden = () => !(region in editor.state.region_styles);
  const title = "The region looks like what is around it again";
  const asAround = button("action", "No style of its own", title, around, { hidden });
  const faces = makeFaces(editor, "style", {
    title: "Take the style of",
    isChosen: (face) => face === there()[0],
    act: (face) => choose(face, mix.value / 100),
  });
  const what = "Colours, light and hair of the face that you click, for the whole picture or a part of it.";
  const whole = { title: () => (editor.state.regional ? "" : ONE_STYLE) };
  const below = make("div", "below", {}, field("Where", where, whole), field("Mix", mix), asAround);
  const none = () => !Object.keys(editor.state.region_styles).length;
  const own = make("p", "note", { hidden: none, textContent: () => ownStyles(editor.state) });
  return panel("style-panel", "Style from another face", true, note(what), faces, below, own);
}
/** Marks the regions that have a style of their own. */
function regionOptions({ regions, region_styles }) {
  const marked = (name) => `only the ${name}${name in region_styles ? " •" : ""}`;
  return [["", "the whole picture"], ...regions.map((name) => [name, marked(name)])];
}
function ownStyles({ regional, region_styles, faces }) {
  const own = Object.entries(region_styles).map(([name, [face, mix]]) => `${name} (${faces[face][1]}, ${percent(mix)}%)`);
  return `${regional ? "In a style of their own" : `${ONE_STYLE}. Kept, but not drawn`}: ${own.join(", ")}.`;
}

// ---- shapes by MaskVAE: sliders of directions, a blend with another face's mask, a random edit

function makeShapes(editor) {
  const [faces, towards] = makeChoice(editor, "towards", "Blend with");
  const idle = (share) => (isIdle(editor) ? 100 * (share ?? 0) : undefined);
  const directions = editor.state.directions.map((name) => {
    const move = (value, options) => command(editor, "move_latent", { direction: name, amount: value / 100 }, options);
    const value = () => idle(editor.state.sliders[name]);
    const attributes = { min: -100, value, "data-direction": name, ...editor.slides(move) };
    return field(spaced(name), slider("direction", spaced(name), attributes));
  });
  const blend = (value, options) => command(editor, "interpolate", { face: towards(), share: value / 100 }, options);
  const value = () => idle(editor.state.blend[towards()]);
  const share = slider("share", "How far", { value, ...editor.slides(blend) });
  const random = () => command(editor, "random_edit", { seed: Math.floor(Math.random() * 2 ** 31) });
  const any = button("action", "Random edit", "A random change that keeps the mask plausible", random);
  const sliders = make("div", "directions", {}, ...directions);
  const below = make("div", "below", {}, field("How far", share), any);
  const nodes = [sliders, note("Blend the mask with that of another face:"), faces, below];
  return panel("shape-panel", "Shape (MaskVAE)", false, ...nodes);
}

function makeParts(editor) {
  const [faces, source] = makeChoice(editor, "source", "Copy from");
  const parts = Object.keys(editor.state.components).map((group) => {
    const copy = () => command(editor, "copy_component", { face: source(), group });
    return button("action", group, `Copy the ${group} of the chosen face`, copy, { "data-group": group });
  });
  const nodes = [note("Choose a face, then a part."), faces, make("div", "cluster wrap", {}, ...parts)];
  return panel("copy-panel", "Copy a part from another face", true, ...nodes);
}

// ---- files

/** Bytes of a photo, few enough to travel, and the photo as the browser sees it; what it cannot read the kernel may. */
async function readPhoto(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap || file.size < UPLOAD_BYTES) return { data: await fileBytes(file), bitmap };
  const share = Math.min(1, UPLOAD_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * share), Math.round(bitmap.height * share));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const small = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  return { data: await small.arrayBuffer(), bitmap: canvas };
}
const fileBytes = (file) => file.slice(0, UPLOAD_BYTES).arrayBuffer();

function makePicker(editor, accept, open) {
  const onchange = async () => {
    const [file] = input.files;
    if (!file) return;
    editor.say(`Reading ${file.name} …`);
    await open(file);
    input.value = ""; // the same file can be chosen again
  };
  const input = make("input", "file", { type: "file", accept, hidden: true, onchange });
  return input;
}

// ---- a photo of one's own: where no face is found in it, one clicks at the eyes and the mouth

const ASKED = ["one eye", "the other eye", "the middle of the mouth"];

function makeClicks(editor) {
  const canvas = make("canvas", "clicks", { role: "img", "aria-label": "the photo, to click at", onclick });
  const words = () => (editor.asked ? `Where is the face? Click at ${ASKED[editor.asked.points.length]}.` : "");
  const leave = () => show(null);
  const cancel = button("action", "Cancel", "Leave this photo out", leave);
  const said = make("p", "note", { textContent: words });
  const node = make("div", "asking", { hidden: () => !editor.asked }, said, canvas, cancel);
  function show(photo) {
    editor.asked = photo;
    if (photo) {
      Object.assign(canvas, { width: photo.bitmap.width, height: photo.bitmap.height });
      canvas.getContext("2d").drawImage(photo.bitmap, 0, 0);
    }
    editor.refresh();
    if (photo) node.scrollIntoView({ block: "nearest" });
  }
  function onclick({ offsetX, offsetY }) {
    const { data, points } = editor.asked;
    const scale = canvas.width / canvas.clientWidth;
    const [x, y] = [offsetX * scale, offsetY * scale];
    points.push([x, y]);
    const pen = canvas.getContext("2d");
    Object.assign(pen, { strokeStyle: "white", lineWidth: 3 * scale });
    pen.beginPath();
    pen.arc(x, y, 6 * scale, 0, 2 * Math.PI);
    pen.stroke();
    if (points.length === ASKED.length) {
      show(null);
      send(data, { points });
    } else editor.refresh();
  }
  function send(data, args, failed) {
    const after = () => command(editor, "choose_target", { face: editor.state.faces.length - 1 });
    command(editor, "add_photo", args, { buffers: [data], after, failed });
  }
  async function open(file) {
    const { data, bitmap } = await readPhoto(file);
    show(null);
    send(data, {}, (error) => bitmap && error.startsWith("No face") && show({ data, bitmap, points: [] }));
  }
  return [node, open];
}

function makeFiles(editor) {
  const [clicks, openPhoto] = makeClicks(editor);
  const schemes = () => editor.state.schemes.map((name) => [name, name]);
  const scheme = chooser("scheme", "Ids of the mask to open", schemes, { value: () => undefined });
  const openMask = async (file) => {
    command(editor, "load_mask", { scheme: scheme.value }, { buffers: [await fileBytes(file)] });
  };
  const maskFile = makePicker(editor, "image/png", openMask);
  const photoFile = makePicker(editor, "image/*", openPhoto);
  const saveMask = async () => {
    const colors = editor.classes.map((one) => one.rgb);
    download("mask.png", await maskPng(editor.sheet.labels, editor.size, colors));
  };
  const buttons = [
    ["Download mask", "A PNG of class ids in the palette's colours", saveMask],
    ["Download picture", "The picture on the right, as JPEG", () => savePicture(editor)],
    ["Open a mask …", "A PNG of class ids 0 to 18", () => maskFile.click()],
    ["Open a photo …", "A photo of a face: it is cut out and its mask is found", () => photoFile.click()],
  ].map(([text, title, act]) => button("action", text, title, act));
  const whole = "Your photo in its full size, with the picture in its place, as JPEG";
  const only = { hidden: () => !editor.state.own_photo, disabled: () => !isIdle(editor) };
  const fetch = () => tell(editor, { type: "photo", view: editor.name });
  buttons.push(button("action", "Download whole photo", whole, fetch, only));
  const saved = () => {
    const { autosave_trouble: trouble, autosaved } = editor.state;
    if (autosaved) return `Every change is kept in ${autosaved}.`;
    return trouble ? `${trouble} Download what you want to keep.` : "There is no autosave: download what you want to keep.";
  };
  const ids = field("Ids of the mask to open", scheme, { title: "The parser or data set that the mask comes from" });
  const nodes = [make("div", "cluster wrap", {}, ...buttons), ids, maskFile, photoFile, clicks, make("p", "note", { textContent: saved })];
  return panel("files-panel", "Files", false, ...nodes);
}
