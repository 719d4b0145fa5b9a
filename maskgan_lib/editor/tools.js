// What is chosen: a tool, what it paints, and which classes it may paint over; the toolbar and the palette show it.

import { button, chooser, iconed, make, slider, within } from "./elements.js";
import { INKS, KEYS, PAINTING, SHAPES } from "./words.js";

const LONGEST_BRUSH = 100;
const BACKGROUND = 0;
const HAIR = 13;

export class Tools {
  chosen = { shape: "brush", ink: "class", value: HAIR, mirror: false, only: null, locked: new Set() };

  constructor(editor) {
    this.editor = editor;
    this.#makeButtons();
    const cluster = (...nodes) => within(make("div", "cluster"), ...nodes);
    const { shapes, inks, undo, redo, reset, all } = this;
    this.bar = within(
      make("div", "tools", "", { role: "toolbar", "aria-label": "tools" }),
      cluster(...shapes.slice(0, PAINTING.length)),
      cluster(...inks),
      cluster(...shapes.slice(PAINTING.length)),
      cluster(this.mirror),
      cluster(undo, redo, reset, all),
      within(make("div", "cluster loose"), this.brush.node, this.over.node),
    );
    this.palette = within(
      make("div", "palette", "", { role: "group", "aria-label": "classes" }),
      ...editor.classes.map((one, i) => within(make("div", "row"), this.#classButton(one, i), this.#lockButton(one, i))),
    );
    this.hint = make("p", "hint");
    editor.on("choice", () => this.#show());
    editor.on("state", () => this.#show());
  }

  #makeButtons() {
    const { editor } = this;
    const tool = (data, [name, [text, key, does]], act) => {
      const node = iconed("tool", name, text, `${text}: ${does} (${key})`, () => act(name));
      node.dataset[data] = name;
      return node;
    };
    const plain = (icon, text, title, act) => iconed("tool plain", icon, text, title, act);
    this.shapes = Object.entries(SHAPES).map((one) => tool("shape", one, (name) => this.chooseShape(name)));
    this.inks = Object.entries(INKS).map((one) => tool("ink", one, (name) => this.toggleInk(name)));
    const mirrorTitle = "Mirror: paint both sides, left and right exchanged (m)";
    this.mirror = iconed("tool", "mirror", "Mirror", mirrorTitle, () => this.toggleMirror());
    this.undo = plain("undo", "", "Undo", () => editor.undo());
    this.redo = plain("redo", "", "Redo", () => editor.redo());
    this.reset = plain("reset", "Reset", "Back to the original mask (can be undone)", () => editor.reset());
    this.all = plain("fit", "", "Show all (z)", () => editor.stage.showAll());
    this.brush = slider("brush", "Size", { min: 1, max: LONGEST_BRUSH, value: editor.model.get("brush") });
    this.brush.input.oninput = () => this.#setBrush(Number(this.brush.input.value));
    this.brushText = make("output", "number");
    this.brush.node.append(this.brushText);
    const only = editor.titles.map((title, i) => [i, `only ${title}`]);
    this.over = chooser("over", "Paint over", [["", "every class"], ...only]);
    this.over.node.title = "Pixels of other classes stay as they are (q)";
    const { select } = this.over;
    select.onchange = () => this.setOnly(select.value === "" ? null : Number(select.value));
  }
  #classButton({ title, rgb }, i) {
    const node = button("class", "", `${title} (${KEYS[i]})`, () => this.chooseClass(i));
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${rgb.join(",")})`;
    node.append(swatch, make("span", "class-title", title), make("kbd", "key", KEYS[i]));
    node.dataset.value = i;
    return node;
  }
  #lockButton({ title }, i) {
    return iconed("lock", "lock", "", `Protect ${title} from being painted over`, () => {
      if (!this.chosen.locked.delete(i)) this.chosen.locked.add(i);
      this.editor.emit("choice");
    });
  }

  chooseShape(name) {
    const { pen, drawing, moving } = this.editor;
    pen.lift();
    this.chosen.shape = name;
    drawing.finish();
    if (name === "move") {
      pen.hide(); // arrows move the part
      moving.start();
    }
    this.editor.emit("choice");
  }
  #chooseInk(name) {
    this.chosen.ink = name;
    if (!PAINTING.includes(this.chosen.shape)) this.chooseShape("brush");
    this.editor.emit("choice");
  }
  toggleInk(name) {
    this.#chooseInk(this.chosen.ink === name ? "class" : name);
  }
  chooseClass(i) {
    this.chosen.value = i;
    this.#chooseInk("class");
  }
  toggleMirror() {
    this.chosen.mirror = !this.chosen.mirror;
    this.editor.emit("choice");
  }
  setOnly(i) {
    this.chosen.only = i;
    this.over.select.value = i ?? "";
    this.editor.emit("choice");
  }
  #setBrush(radius) {
    this.editor.set("brush", Math.max(1, Math.min(LONGEST_BRUSH, Math.round(radius))));
    this.editor.emit("choice");
  }
  /** A brush larger by this share, smaller if it is negative, and by a pixel at least. */
  growBrush(share) {
    const radius = this.editor.model.get("brush");
    this.#setBrush(radius + Math.sign(share) * Math.max(1, radius * Math.abs(share)));
  }

  /** The ink as `core.js` takes it. */
  ink() {
    const { only, locked, ink, value } = this.chosen;
    const allow =
      only === null && !locked.size
        ? undefined
        : new Uint8Array(256).map((_, i) => Number((only === null || i === only) && !locked.has(i)));
    if (ink === "original") return { source: this.editor.original, allow };
    return { value: ink === "background" ? BACKGROUND : value, allow };
  }

  #show() {
    const { editor } = this;
    const { shape, ink, value, mirror, locked } = this.chosen;
    const { undo, redo } = editor.state;
    const data = { shape, ink, value, mirror: Number(mirror), undo: undo.count, redo: redo.count };
    Object.assign(editor.root.dataset, data);
    const pressed = (node, is) => node.setAttribute("aria-pressed", is);
    this.shapes.forEach((node) => pressed(node, node.dataset.shape === shape));
    this.inks.forEach((node) => pressed(node, node.dataset.ink === ink));
    this.palette.childNodes.forEach((row, i) => {
      pressed(row.firstChild, ink === "class" && i === value);
      pressed(row.lastChild, locked.has(i));
    });
    pressed(this.mirror, mirror);
    this.brush.input.value = this.brushText.textContent = editor.model.get("brush");
    this.undo.disabled = !(undo.count || editor.attributes.isMoved);
    this.redo.disabled = !redo.count;
    this.undo.title = undo.count ? `Undo: ${undo.name} (Ctrl+Z)` : "Undo (Ctrl+Z)";
    this.redo.title = redo.count ? `Redo: ${redo.name} (Ctrl+Shift+Z or Ctrl+Y)` : "Redo (Ctrl+Shift+Z or Ctrl+Y)";
    const [, , does] = SHAPES[shape];
    const paints = ink === "class" ? editor.titles[value] : INKS[ink][2];
    this.hint.textContent = `${does}${PAINTING.includes(shape) ? `: it becomes ${paints}. The picture follows` : ""}.`;
  }
}
