// The view of the editor: paints on its own copy of the mask, tells the kernel, shows the pictures it makes.
// Tests and styles read the root's data-* attributes:
//   pending 0 | 1   whether something is being drawn or is on its way    kernel  alive | waiting | gone
//   shown           pictures shown so far                                hellos  answers to "are you there?"
//   shape, ink, value, zoom, undo, redo, results, view-mode             what is chosen, and how much there is
//   preview 0 | 1   whether a preview is seen in the mask's place
//   pen             the keyboard's: up | down, or empty when the pointer is used

import { Attributes } from "./attributes.js";
import { rle } from "./core.js";
import { Drawing } from "./drawing.js";
import { Editor } from "./editor.js";
import { make, within } from "./elements.js";
import { Thumbs } from "./faces.js";
import { Kernel } from "./kernel.js";
import { Keyboard } from "./keys.js";
import { Moving } from "./moving.js";
import { makePanels } from "./panels.js";
import { Pen } from "./pen.js";
import { Picture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { Stage } from "./stage.js";
import { Tools } from "./tools.js";

const TRAITS = ["edit", "done", "state", "picture", "photo", "original", "preview", "brush", "live"];

/** All traits of one message are there when the first of its events comes: they are dealt with together. */
function listen(editor) {
  const { model, kernel, drawing, sheet } = editor;
  let scheduled = false;
  function sync() {
    scheduled = false;
    const answered = kernel.answer();
    if (!drawing.stroke) kernel.pull(answered?.labels && answered.error);
    editor.emit("state");
    if (answered && !answered.error) answered.after?.();
    if (answered) kernel.next();
  }
  function hear() {
    if (!scheduled) queueMicrotask(sync);
    scheduled = true;
  }
  const events = TRAITS.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, hear));
  editor.root.readMask = (kind = "labels") => Array.from(rle(sheet[kind])); // for tests
  return () => events.forEach((event) => model.off(event, hear));
}

function render({ model, el }) {
  const editor = new Editor(model);
  for (const [name, Part] of Object.entries({
    stage: Stage,
    drawing: Drawing,
    tools: Tools,
    picture: Picture,
    moving: Moving,
    attributes: Attributes,
    pen: Pen,
    thumbs: Thumbs,
  }))
    editor[name] = new Part(editor);
  editor.panels = makePanels(editor);
  editor.pointer = new Pointer(editor);
  editor.keyboard = new Keyboard(editor);
  const { root, tools, stage, attributes, picture } = editor;
  const main = within(make("div", "main"), tools.palette, stage.node, attributes.node, picture.node);
  root.append(tools.bar, tools.hint, main, editor.status, editor.panels);
  el.append(root);
  editor.kernel = new Kernel(editor);
  const stop = listen(editor);
  picture.setMode("picture");
  stage.showAll();
  editor.emit("choice");
  editor.emit("state");
  return () => {
    editor.kernel.stop();
    stop();
  };
}

export default { render };
