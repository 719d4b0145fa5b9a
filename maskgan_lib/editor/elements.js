// Pieces of the editor's page. Each class name gets the prefix "editor-"; texts never become markup.
// An attribute that is a function is asked for its value by every `refresh`; undefined leaves things as they are.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  brush: "M4 20c3 0 4-1 4-3a2 2 0 1 1 4 0c0 3-3 4-8 3zM11 14 20 4",
  fill: "M4 12l7-7 7 7-7 7zM11 5V2M20 15c1.6 2.2 1.6 4 0 4s-1.6-1.8 0-4z",
  lasso: "M12 4c5 0 9 2 9 5s-4 5-9 5-9-2-9-5 4-5 9-5zM6 13c-2 3 0 4 2 4s3 1 1 4",
  polygon: "M4 10l8-6 8 6-3 10H7z",
  pick: "M4 20l1-4 9-9 3 3-9 9zM13 5l6 6M16 8l4-4",
  move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  background: "M8 19h12M4 14l9-9 7 7-7 7H9z",
  original: "M4 12a8 8 0 1 0 3-6M4 4v4h4M12 8v4l3 2",
  undo: "M9 14L4 9l5-5M4 9h10a5 5 0 0 1 0 10h-3",
  redo: "M15 14l5-5-5-5M20 9H10a5 5 0 0 0 0 10h3",
  reset: "M5 5h14v14H5zM9 9l6 6M15 9l-6 6",
  mirror: "M12 3v18M9 7 3 17h6zM15 7l6 10h-6z",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3",
};
const DRAWN = ["svg", "g", "path", "line", "polyline", "polygon", "circle"];

/** Has `act` called by every `refresh` of the node. */
export function live(node, act) {
  (node.live ??= []).push(act);
  return node;
}
export function refresh(node) {
  node.live?.forEach((act) => act());
  for (const child of node.children) refresh(child);
}

function assign(node, key, value) {
  if (value === undefined) return;
  if (node instanceof HTMLElement && key in node) node[key] = value;
  else node.setAttribute(key, value);
}
function keep(node, key, value) {
  return live(node, () => {
    const now = value();
    if (node[key] !== now) assign(node, key, now);
  });
}

export function make(tag, name, attributes = {}, ...children) {
  const node = DRAWN.includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  node.setAttribute("class", name.replace(/\S+/g, "editor-$&"));
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function" && !key.startsWith("on")) keep(node, key, value);
    else assign(node, key, value);
  }
  node.append(...children);
  return node;
}

/** A node whose children are built anew from `items()` when these are others. */
export function list(node, items, build) {
  let shown = "";
  return live(node, () => {
    const now = items();
    if (now === undefined || JSON.stringify(now) === shown) return;
    shown = JSON.stringify(now);
    node.replaceChildren(...now.map(build));
  });
}

export function button(name, text, title, act, attributes) {
  return make("button", name, { type: "button", title, onclick: act, ...attributes }, text);
}

export function iconed(name, icon, text, title, act, attributes) {
  const drawing = make("svg", "icon", { viewBox: "0 0 24 24", "aria-hidden": true }, make("path", "", { d: ICONS[icon] }));
  const node = button(name, drawing, title, act, { "aria-label": title, ...attributes });
  if (text) node.append(make("span", "label", {}, text));
  return node;
}

export function slider(name, label, attributes) {
  return make("input", name, { type: "range", min: 0, max: 100, "aria-label": label, ...attributes });
}

/** Of `options()`, pairs of value and text. */
export function chooser(name, label, options, { value, ...attributes }) {
  const node = make("select", name, { "aria-label": label, ...attributes });
  list(node, options, ([value, text]) => make("option", "option", { value }, text));
  return keep(node, "value", value);
}

export function field(label, input, attributes) {
  return make("label", "field", attributes, make("span", "field-name", {}, label), input);
}

export const note = (text) => make("p", "note", {}, text);

export function panel(name, title, open, ...children) {
  return make("details", `panel ${name}`, { open }, make("summary", "summary", {}, title), ...children);
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  make("a", "", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
