// The toolbar and the palette, and a hint about what is chosen.

import { choose, chooseClass, chooseShape, command, cancelAttributes, isMoved, toggleInk, travel } from "./drawing.js";
import { button, chooser, field, iconed, make, slider } from "./elements.js";
import { look } from "./mask.js";
import { INKS, KEYS, PAINTING, SHAPES } from "./words.js";

const LONGEST_BRUSH = 100;
export const SHOWING_ALL = { zoom: 1, x: 0, y: 0 };

export function makeToolbar(editor) {
  const { tool } = editor;
  const cluster = (...nodes) => make("div", "cluster", {}, ...nodes);
  const tools = (table, kind, act) =>
    Object.entries(table).map(([name, [text, key, does]]) => {
      const attributes = { [`data-${kind}`]: name, "aria-pressed": () => tool[kind] === name };
      return iconed("tool", name, text, `${text}: ${does} (${key})`, () => act(editor, name), attributes);
    });
  const shapes = tools(SHAPES, "shape", chooseShape);
  const mirrorTitle = "Mirror: paint both sides, left and right exchanged (m)";
  const pressed = { "aria-pressed": () => tool.mirror };
  const resetTitle = "Back to the original mask (can be undone)";
  return make(
    "div",
    "tools",
    { role: "toolbar", "aria-label": "tools" },
    cluster(...shapes.slice(0, PAINTING.length)),
    cluster(...tools(INKS, "ink", toggleInk)),
    cluster(...shapes.slice(PAINTING.length)),
    cluster(iconed("tool", "mirror", "Mirror", mirrorTitle, () => choose(editor, { mirror: !tool.mirror }), pressed)),
    cluster(
      travelButton(editor, "undo", "Undo", "Ctrl+Z"),
      travelButton(editor, "redo", "Redo", "Ctrl+Shift+Z or Ctrl+Y"),
      iconed("tool plain", "reset", "Reset", resetTitle, () => reset(editor)),
      iconed("tool plain", "fit", "", "Show all (z)", () => look(editor, SHOWING_ALL)),
    ),
    makeBrush(editor),
  );
}

function travelButton(editor, way, text, keys) {
  const title = () => {
    const { count, name } = editor.state[way];
    return count ? `${text}: ${name} (${keys})` : `${text} (${keys})`;
  };
  const disabled = () => !(editor.state[way].count || (way === "undo" && isMoved(editor)));
  return iconed("tool plain", way, "", title, () => travel(editor, way), { "aria-label": title, disabled });
}
function reset(editor) {
  if (isMoved(editor)) cancelAttributes(editor);
  command(editor, "reset");
}

function makeBrush(editor) {
  const { tool, titles, model } = editor;
  const value = () => model.get("brush");
  const oninput = () => setBrush(editor, Number(size.value));
  const size = slider("brush", "Size", { min: 1, max: LONGEST_BRUSH, value, oninput });
  const sized = field("Size", size);
  sized.append(make("output", "number", { textContent: () => `${value()}` }));
  const only = [["", "every class"], ...titles.map((title, i) => [i, `only ${title}`])];
  const over = chooser("over", "Paint over", () => only, {
    value: () => tool.only ?? "",
    onchange: () => choose(editor, { only: over.value === "" ? null : Number(over.value) }),
  });
  const title = "Pixels of other classes stay as they are (q)";
  return make("div", "cluster loose", {}, sized, field("Paint over", over, { title }));
}
function setBrush(editor, radius) {
  editor.set("brush", Math.max(1, Math.min(LONGEST_BRUSH, Math.round(radius))));
}
/** A brush larger by this share, smaller if it is negative, and by a pixel at least. */
export function growBrush(editor, share) {
  const radius = editor.model.get("brush");
  setBrush(editor, radius + Math.sign(share) * Math.max(1, radius * Math.abs(share)));
}

export function makePalette(editor) {
  const { tool, classes } = editor;
  const rows = classes.map(({ title, rgb }, i) => {
    const protect = () => {
      if (!tool.locked.delete(i)) tool.locked.add(i);
      editor.refresh();
    };
    const chosen = { "data-value": i, "aria-pressed": () => tool.ink === "class" && tool.value === i };
    const node = button("class", "", `${title} (${KEYS[i]})`, () => chooseClass(editor, i), chosen);
    const swatch = make("span", "swatch", { style: `background: rgb(${rgb.join(",")})` });
    node.append(swatch, make("span", "class-title", {}, title), make("kbd", "key", {}, KEYS[i]));
    const locked = { "aria-pressed": () => tool.locked.has(i) };
    const lock = iconed("lock", "lock", "", `Protect ${title} from being painted over`, protect, locked);
    return make("div", "row", {}, node, lock);
  });
  return make("div", "palette", { role: "group", "aria-label": "classes" }, ...rows);
}

export function makeHint({ tool, titles }) {
  function textContent() {
    const [, , does] = SHAPES[tool.shape];
    const paints = tool.ink === "class" ? titles[tool.value] : INKS[tool.ink][2];
    return `${does}${PAINTING.includes(tool.shape) ? `: it becomes ${paints}. The picture follows` : ""}.`;
  }
  return make("p", "hint", { textContent });
}
