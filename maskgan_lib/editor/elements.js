// Pieces of the editor's page. Each class name gets the prefix "editor-"; texts never become markup.

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

export function make(tag, name, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.className = name
    .split(" ")
    .map((part) => `editor-${part}`)
    .join(" ");
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

export function draw(tag, name, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  if (name) node.setAttribute("class", `editor-${name}`);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

export function within(node, ...children) {
  node.append(...children);
  return node;
}

export function button(name, text, title, act) {
  const node = make("button", name, text, { type: "button", title });
  node.onclick = act;
  return node;
}

export function iconed(name, icon, text, title, act) {
  const node = button(name, "", title, act);
  node.setAttribute("aria-label", title);
  const picture = draw("svg", "icon", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  picture.append(draw("path", "", { d: ICONS[icon] }));
  node.append(picture);
  if (text) node.append(make("span", "label", text));
  return node;
}

export function slider(name, label, { min = 0, max = 100, step = 1, value = 0 } = {}) {
  const input = make("input", name, "", { type: "range", min, max, step, value, "aria-label": label });
  return { input, node: within(make("label", "field"), make("span", "field-name", label), input) };
}

export function chooser(name, label, options) {
  const select = make("select", name, "", { "aria-label": label });
  select.append(...options.map(([value, text]) => make("option", "option", text, { value })));
  return { select, node: within(make("label", "field"), make("span", "field-name", label), select) };
}

export function panel(name, title, open, ...children) {
  const node = within(make("details", `panel ${name}`), make("summary", "summary", title), ...children);
  node.open = open;
  return node;
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
