// The panels below the pictures: results, other faces, shape, files, keys.

import { maskPng } from "./core.js";
import { button, download, make, panel, within } from "./elements.js";
import { Results, Strip } from "./faces.js";
import { Shape } from "./shape.js";
import { Styles } from "./styles.js";
import { HELP } from "./words.js";

const UPLOAD_SIDE = 2048; // larger photos are made smaller before they travel
const UPLOAD_BYTES = 8e6; // a kernel's connection breaks at 10 MiB

const note = (text) => make("p", "note", text);

export function makePanels(editor) {
  const results = new Results(editor);
  const act = (i) => editor.command("choose_target", { face: i });
  const targets = new Strip(editor, "target", "Edit", (i) => i === editor.state.target, act);
  const help = HELP.flatMap(([keys, does]) => [make("dt", "help-key", keys), make("dd", "help-text", does)]);
  const nodes = [
    panel("results-panel", "Results of this session", true, note("Click one to go back to it."), results.node),
    new Styles(editor).node,
    panel("target-panel", "Edit another face", false, note("Your mask stays in the undo steps."), targets.node),
    ...(editor.state.directions.length ? [new Shape(editor).node] : []),
    makeCopyPanel(editor),
    makeFilesPanel(editor),
    panel("keys-panel", "Keys", false, within(make("dl", "help"), ...help)),
  ];
  return within(make("div", "panels"), ...nodes);
}

function makeCopyPanel(editor) {
  let source = Math.min(1, editor.state.faces.length - 1);
  const isChosen = (i) => i === source;
  const sources = new Strip(editor, "source", "Copy from", isChosen, (i) => (source = i));
  const parts = Object.keys(editor.state.components).map((group) => {
    const copy = () => editor.command("copy_component", { face: source, group });
    const node = button("action", group, `Copy the ${group} of the chosen face`, copy);
    node.dataset.group = group;
    return node;
  });
  const nodes = [note("Choose a face, then a part."), sources.node, within(make("div", "cluster wrap"), ...parts)];
  return panel("copy-panel", "Copy a part from another face", true, ...nodes);
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

function makePicker(editor, accept, name, read, after) {
  const input = make("input", "file", "", { type: "file", accept, hidden: "" });
  input.onchange = async () => {
    const [file] = input.files;
    if (!file) return;
    editor.say(`Reading ${file.name} …`);
    const data = await read(file);
    input.value = ""; // the same file can be chosen again
    editor.command(name, {}, { buffers: [data], after });
  };
  return input;
}

function makeFilesPanel(editor) {
  const readMask = (file) => file.slice(0, UPLOAD_BYTES).arrayBuffer();
  const edit = () => editor.command("choose_target", { face: editor.state.faces.length - 1 });
  const maskFile = makePicker(editor, "image/png", "load_mask", readMask);
  const photoFile = makePicker(editor, "image/*", "add_photo", photoBytes, edit);
  const saveMask = async () => {
    const colors = editor.classes.map((one) => one.rgb);
    download("mask.png", await maskPng(editor.sheet.labels, editor.size, colors));
  };
  const buttons = [
    ["Download mask", "A PNG of class ids in the palette's colours", saveMask],
    ["Download picture", "The picture on the right, as JPEG", () => editor.picture.save()],
    ["Open a mask …", "A PNG of class ids 0 to 18", () => maskFile.click()],
    ["Open a photo …", "A photo of a face: it is cut out and its mask is found", () => photoFile.click()],
  ].map(([text, title, act]) => button("action", text, title, act));
  const autosaved = note("");
  editor.on("state", () => {
    const { trouble, autosaved: folder } = editor.state;
    const none = "There is no autosave: download what you want to keep.";
    autosaved.textContent = trouble ? `${trouble} Download what you want to keep.` : none;
    if (folder) autosaved.textContent = `Every change is kept in ${folder}.`;
  });
  const cluster = within(make("div", "cluster wrap"), ...buttons);
  return panel("files-panel", "Files", false, cluster, maskFile, photoFile, autosaved);
}
