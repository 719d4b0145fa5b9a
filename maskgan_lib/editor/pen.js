// The keyboard's pen: arrows move a cursor, and a key puts the chosen tool down there and lifts it again.

import { draw } from "./elements.js";

const OWNER = "keyboard"; // of a stroke, in the place of a pointer's number
const ARM = 0.025; // of the crosshair, in sides of the picture
const GAP = 0.3; // in arms

/**
 * radius(), closing()   of the brush, and how near a polygon's first corner closes it
 * onPlace(point)        the cursor is here now, a pixel
 * onState(is)           "up", "down", or "" when the pointer is used and the cursor is hidden
 */
export function makePen({ sheet, drawing, radius, closing, onPlace, onState }) {
  const { size } = sheet;
  const lines = [draw("path", "crosshair-rim"), draw("path", "crosshair")];
  let point = null;

  const isDown = () => drawing.stroke()?.pointer === OWNER;

  /** Moves the cursor by so many pixels, from `centre` at first. */
  function move(right, down, centre) {
    const [x, y] = point ?? centre;
    point = sheet.pixelAt([x + right, y + down]);
    if (isDown()) drawing.draw([[point, radius()]]);
    onState(isDown() ? "down" : "up");
    onPlace(point);
  }

  /** Puts the tool down at the cursor, or lifts it. */
  function press(centre) {
    if (isDown()) return lift();
    if (drawing.stroke()) return; // the pointer's
    move(0, 0, centre);
    drawing.touch(point, radius(), closing(), { pointer: OWNER });
    if (drawing.stroke()?.kind === "fill") drawing.lift(radius());
    onState(isDown() ? "down" : "up");
  }

  function lift() {
    if (!isDown()) return;
    drawing.lift(radius());
    onState("up");
  }

  return {
    lines,
    move,
    press,
    lift,
    isDown,
    /** The pointer is used: the next arrow starts from there. */
    hide: (from = point) => {
      point = from;
      onState("");
    },
    /** Draws the cursor, as large in any zoom. */
    show: (zoom) => {
      if (!point) return;
      const [x, y] = point;
      const [near, far] = [(GAP * ARM * size) / zoom, (ARM * size) / zoom];
      const arms = [-1, 1].map(
        (to) => `M${x + to * near} ${y}h${to * (far - near)}M${x} ${y + to * near}v${to * (far - near)}`,
      );
      for (const node of lines) node.setAttribute("d", arms.join(""));
    },
  };
}
