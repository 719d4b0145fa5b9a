// The view of the editor: paints on its own copy of the mask, tells the kernel, shows the pictures it makes.
// What the parts share is one object, `editor`; `editor.refresh` brings the page up to date with it.
// Tests and styles read the root's data-* attributes:
//   pending 0 | 1   whether something is being drawn or is on its way    kernel  alive | waiting | gone
//   shown           pictures shown so far                                hellos  answers to "are you there?"
//   shape, ink, value, zoom, undo, redo, results, view-mode             what is chosen, and how much there is
//   preview 0 | 1   whether a preview is seen in the mask's place
//   pen             the keyboard's: up | down, or empty when the pointer is used

import { rle, u8, unrle } from "./core.js";
import { penState } from "./drawing.js";
import { make, refresh } from "./elements.js";
import { listenToKeys, listenToPointers } from "./input.js";
import { answer, connect, isIdle, pull, sendNext } from "./kernel.js";
import { makeMask, showPreview } from "./mask.js";
import { makeMoving } from "./moving.js";
import { makeAttributes, makePanels } from "./panels.js";
import { makePicture, showPictures } from "./picture.js";
import { SHOWING_ALL, makeHint, makePalette, makeToolbar } from "./tools.js";

const TRAITS = ["edit", "done", "state", "picture", "photo", "original", "preview", "brush", "live"];
const HAIR = 13;

function makeEditor(model) {
  const { size, classes } = model.get("state");
  let gestures = 0;
  const editor = {
    ...{ model, size, classes, titles: classes.map((one) => one.title) },
    name: Math.random().toString(36).slice(2, 10), // two views of one model must not take each other's answers
    get state() {
      return model.get("state");
    },
    tool: { shape: "brush", ink: "class", value: HAIR, mirror: false, only: null, locked: new Set() },
    at: SHOWING_ALL, // how the mask is zoomed and moved
    stroke: null, // while something is being drawn or moved
    corners: [], // of a polygon
    asked: null, // an own photo whose face is being shown by clicks
    amounts: {}, // of attributes that are previewed
    group: null, // the part that is moved
    pen: { point: null, isShown: false }, // the keyboard's
    ...{ cursor: [0, 0], pressure: 1, hovered: null }, // the pointer, and the class under it
    thumbs: new Map(), // small pictures, by key
    said: { text: "", isError: false },
    refresh: () => refresh(editor.root),
    say(text, isError = false) {
      editor.said = { text, isError };
      editor.refresh();
    },
    /** A trait of the model: a mask. */
    mask: (name) => unrle(u8(model.get(name)), size * size, classes.length),
    newGesture: () => `${editor.name} ${++gestures}`,
    /** Shows and sets a trait that both sides may change. */
    set(name, value) {
      model.set(name, value);
      model.save_changes();
      editor.refresh();
    },
    /** Handlers: each drag of a slider is one gesture, and so are its arrow keys in a row. */
    slides(act) {
      let gesture = null;
      const begin = () => (gesture = editor.newGesture());
      const oninput = ({ target }) => act(target.value, { gesture, open: true });
      return { onpointerdown: begin, onfocus: begin, oninput, onchange: ({ target }) => act(target.value, { gesture }) };
    },
  };
  return editor;
}

function makeRoot(editor) {
  const { tool } = editor;
  const shown = {
    ...{ pending: () => Number(!isIdle(editor)), shown: 0, hellos: 0, kernel: "alive", "view-mode": "picture" },
    ...{ shape: () => tool.shape, ink: () => tool.ink, value: () => tool.value, mirror: () => Number(tool.mirror) },
    zoom: () => editor.at.zoom.toFixed(2),
    undo: () => editor.state.undo.count,
    redo: () => editor.state.redo.count,
    results: () => (isIdle(editor) ? editor.state.results.length : undefined),
    preview: () => Number(Boolean(editor.sheet.preview)),
    pen: () => penState(editor),
    error: () => Number(editor.said.isError),
    "lm-suppress-shortcuts": true,
  };
  const data = Object.fromEntries(Object.entries(shown).map(([name, value]) => [`data-${name}`, value]));
  return make("div", "root", { tabindex: 0, role: "group", "aria-label": "mask editor", ...data });
}

/** All traits of one message are there when the first of its events comes: they are dealt with together. */
function listen(editor) {
  const { model } = editor;
  let isScheduled = false;
  function sync() {
    isScheduled = false;
    const answered = answer(editor);
    if (!editor.stroke) pull(editor, answered?.labels && answered.error);
    if (isIdle(editor)) editor.amounts = { ...editor.state.preview_amounts };
    const kept = [...editor.state.faces, ...editor.state.results].map(([key]) => key);
    for (const key of editor.thumbs.keys()) if (!kept.includes(key)) editor.thumbs.delete(key);
    showPreview(editor);
    showPictures(editor);
    editor.refresh();
    if (answered) (answered.error ? answered.failed : answered.after)?.(answered.error);
    if (answered) sendNext(editor);
  }
  function hear() {
    if (!isScheduled) queueMicrotask(sync);
    isScheduled = true;
  }
  const events = TRAITS.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, hear));
  sync();
  return () => events.forEach((event) => model.off(event, hear));
}

function render({ model, el }) {
  const editor = makeEditor(model);
  const root = (editor.root = makeRoot(editor));
  const mask = makeMask(editor);
  const picture = makePicture(editor);
  editor.below.append(makeMoving(editor));
  const main = make("div", "main", {}, makePalette(editor), mask, makeAttributes(editor), picture);
  const status = make("p", "status", {
    ...{ role: "status", "aria-live": "polite", textContent: () => editor.said.text },
    class: () => `editor-status${editor.said.isError ? " editor-error" : ""}`,
  });
  editor.panels = makePanels(editor);
  root.append(makeToolbar(editor), makeHint(editor), main, status, editor.panels);
  root.readMask = () => Array.from(rle(editor.sheet.labels)); // for tests
  listenToPointers(editor, editor.frame, editor.pictureFrame);
  listenToKeys(editor);
  el.append(root);
  const ends = [connect(editor), listen(editor)];
  return () => ends.forEach((end) => end());
}

export default { render };
