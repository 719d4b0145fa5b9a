// What the editor's tools are called, which keys they have, and what the help says of them.

export const KEYS = "0123456789oujhtgnkc"; // of the classes, by id

/** By name: text, key, what it does. */
export const SHAPES = {
  brush: ["Brush", "b", "Draw on the mask"],
  fill: ["Fill", "f", "Click an area to fill it"],
  lasso: ["Lasso", "l", "Draw around an area to fill it"],
  polygon: [
    "Polygon",
    "p",
    "Click the corners; a double click or Enter fills, Backspace takes a corner back, Esc stops",
  ],
  pick: ["Pick", "i", "Click the mask to take its class (Alt+click does it in every tool)"],
  move: ["Move part", "v", "Click a part of the face, then drag it; corners scale it, the handle above turns it"],
};
export const PAINTING = ["brush", "fill", "lasso", "polygon"];

/** By name: text, key, what it paints. */
export const INKS = {
  background: ["Eraser", "e", "background"],
  original: ["Restore", "r", "the original mask"],
};

export const MODES = { picture: "Picture", compare: "Before | after", difference: "Difference" };

export const LIVE = [
  ["drawing", "while drawing"],
  ["stroke", "after each stroke"],
  ["button", "on the button"],
];

/** Text and title of a button, and how it changes the part that is moved. */
export const NUDGES = [
  ["←", "move left", { right: -1 }],
  ["→", "move right", { right: 1 }],
  ["↑", "move up", { down: -1 }],
  ["↓", "move down", { down: 1 }],
  ["+", "larger", { scale: 1.08 }],
  ["−", "smaller", { scale: 1 / 1.08 }],
  ["↻", "turn clockwise", { degrees: 5 }],
  ["↺", "turn back", { degrees: -5 }],
];

export const HELP = [
  ["b f l p", "brush, fill, lasso, polygon"],
  ["e r", "eraser, restore the original"],
  ["i, Alt+click", "pick a class from the mask"],
  ["v", "move a part; arrows nudge it"],
  ["arrows, Shift+arrows", "a cursor for the tools, in small or large steps"],
  ["x", "the pen down at that cursor, and up; fill, pick, a polygon's corner there"],
  ["Shift", "a straight line; with a click from the last stroke's end"],
  ["[ ], Shift+wheel", "smaller, larger brush"],
  ["m", "mirror: both sides at once, left and right exchanged"],
  ["q", "paint only over the class under the pointer; once more: over all"],
  ["Ctrl+Z, Ctrl+Shift+Z, Ctrl+Y", "undo, redo"],
  ["wheel, + −, two fingers", "zoom (click the picture first)"],
  ["Space+drag, two fingers", "pan"],
  ["z", "show all"],
  ["d", "picture, comparison, difference"],
  ["Enter", "apply a preview of attributes; else render now"],
  [KEYS.split("").join(" "), "the classes, in the palette's order"],
  ["Esc", "stop what is begun, drop a preview; then leave the editor"],
];
