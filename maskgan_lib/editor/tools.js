// What is chosen: a tool, what it paints, and which classes it may paint over; the toolbar and the palette show it.

import { button, chooser, iconed, make, slider, within } from "./elements.js";
import { INKS, KEYS, PAINTING, SHAPES } from "./words.js";

const LONGEST_BRUSH = 100;
const BACKGROUND = 0;
const HAIR = 13;

/**
 * onShape(name)  a tool has just been chosen
 * onChange()     so has anything
 * act            what the buttons for undo, redo, reset and "show all" do, by these names: all
 */
export function makeTools({ model, classes, onShape, onChange, act }) {
  const titles = classes.map((one) => one.title);
  const chosen = { shape: "brush", ink: "class", value: HAIR, mirror: false, only: null, locked: new Set() };

  const shapeButtons = Object.entries(SHAPES).map(([name, [text, key, title]]) => {
    const node = iconed("button", "tool", name, text, `${text}: ${title} (${key})`);
    node.dataset.shape = name;
    node.onclick = () => chooseShape(name);
    return node;
  });
  const inkButtons = Object.entries(INKS).map(([name, [text, key, paints]]) => {
    const node = iconed("button", "tool", name, text, `${text}: paint ${paints} (${key})`);
    node.dataset.ink = name;
    node.onclick = () => toggleInk(name);
    return node;
  });
  const brush = slider("brush", "Size", { min: 1, max: LONGEST_BRUSH, value: model.get("brush") });
  const brushText = make("output", "number");
  brush.node.append(brushText);
  brush.input.oninput = () => setBrush(Number(brush.input.value));
  const mirrorTitle = "Mirror: paint both sides, left and right exchanged (m)";
  const mirrorButton = iconed("button", "tool", "mirror", "Mirror", mirrorTitle);
  mirrorButton.onclick = () => toggleMirror();
  const over = chooser("over", "Paint over", [["", "every class"], ...titles.map((title, i) => [i, `only ${title}`])]);
  over.node.title = "Pixels of other classes stay as they are (q)";
  over.select.onchange = () => setOnly(over.select.value === "" ? null : Number(over.select.value));
  const [undo, redo, reset, all] = [
    ["undo", "", "Undo (Ctrl+Z)"],
    ["redo", "", "Redo (Ctrl+Shift+Z or Ctrl+Y)"],
    ["reset", "Reset", "Back to the original mask (can be undone)"],
    ["fit", "", "Show all (z)"],
  ].map(([icon, text, title]) => iconed("button", "tool plain", icon, text, title));
  undo.onclick = () => act.undo();
  redo.onclick = () => act.redo();
  reset.onclick = () => act.reset();
  all.onclick = () => act.all();
  const bar = within(
    make("div", "tools", "", { role: "toolbar", "aria-label": "tools" }),
    within(make("div", "cluster"), ...shapeButtons.slice(0, PAINTING.length)),
    within(make("div", "cluster"), ...inkButtons),
    within(make("div", "cluster"), ...shapeButtons.slice(PAINTING.length)),
    within(make("div", "cluster"), mirrorButton),
    within(make("div", "cluster"), undo, redo, reset, all),
    within(make("div", "cluster loose"), brush.node, over.node),
  );

  const classButtons = classes.map(({ title, rgb }, i) => {
    const node = button("class", "", `${title} (${KEYS[i]})`, () => chooseClass(i));
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${rgb.join(",")})`;
    node.append(swatch, make("span", "class-title", title), make("kbd", "key", KEYS[i]));
    node.dataset.value = i;
    return node;
  });
  const lockButtons = classes.map(({ title }, i) => {
    const node = iconed("button", "lock", "lock", "", `Protect ${title} from being painted over`);
    node.onclick = () => {
      if (!chosen.locked.delete(i)) chosen.locked.add(i);
      onChange();
    };
    return node;
  });
  const palette = within(
    make("div", "palette", "", { role: "group", "aria-label": "classes" }),
    ...classes.map((_, i) => within(make("div", "row"), classButtons[i], lockButtons[i])),
  );
  const hint = make("p", "hint");

  function chooseShape(name) {
    chosen.shape = name;
    onShape(name);
    onChange();
  }
  function chooseInk(name) {
    chosen.ink = name;
    if (!PAINTING.includes(chosen.shape)) chooseShape("brush");
    onChange();
  }
  const toggleInk = (name) => chooseInk(chosen.ink === name ? "class" : name);
  function chooseClass(i) {
    chosen.value = i;
    chooseInk("class");
  }
  function toggleMirror() {
    chosen.mirror = !chosen.mirror;
    onChange();
  }
  function setOnly(i) {
    chosen.only = i;
    over.select.value = i ?? "";
    onChange();
  }
  function setBrush(radius) {
    model.set("brush", Math.max(1, Math.min(LONGEST_BRUSH, Math.round(radius))));
    model.save_changes();
    onChange();
  }
  /** A brush larger by this share, smaller if it is negative, and by a pixel at least. */
  function growBrush(share) {
    setBrush(model.get("brush") + Math.sign(share) * Math.max(1, model.get("brush") * Math.abs(share)));
  }

  /** The ink as `core.js` takes it, with the target's own mask. */
  function ink(original) {
    const { only, locked } = chosen;
    const allow =
      only === null && !locked.size
        ? undefined
        : new Uint8Array(256).map((_, i) => Number((only === null || i === only) && !locked.has(i)));
    if (chosen.ink === "original") return { source: original, allow };
    return { value: chosen.ink === "background" ? BACKGROUND : chosen.value, allow };
  }

  /** Shows what is chosen and how many steps can be undone and redone. */
  function show(undoable, redoable) {
    const pressed = (node, is) => node.setAttribute("aria-pressed", is);
    shapeButtons.forEach((node) => pressed(node, node.dataset.shape === chosen.shape));
    inkButtons.forEach((node) => pressed(node, node.dataset.ink === chosen.ink));
    classButtons.forEach((node, i) => pressed(node, chosen.ink === "class" && i === chosen.value));
    lockButtons.forEach((node, i) => pressed(node, chosen.locked.has(i)));
    pressed(mirrorButton, chosen.mirror);
    brush.input.value = brushText.textContent = model.get("brush");
    undo.disabled = !undoable;
    redo.disabled = !redoable;
    const [, , what] = SHAPES[chosen.shape];
    const paints = chosen.ink === "class" ? titles[chosen.value] : INKS[chosen.ink][2];
    hint.textContent = PAINTING.includes(chosen.shape)
      ? `${what}: it becomes ${paints}. The picture follows.`
      : `${what}.`;
  }

  return {
    bar,
    palette,
    hint,
    chosen,
    chooseShape,
    toggleInk,
    chooseClass,
    toggleMirror,
    setOnly,
    growBrush,
    ink,
    show,
  };
}
