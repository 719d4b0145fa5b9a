// Steps of undo and redo that outlive the page, in the storage that a browser has for a tab.
// Where it is refused, full, or holds anything else, there are none.

import { UNDO_DEPTH } from "./core.js";

const PREFIX = "maskgan-editor ";
const LONGEST = 4e6; // characters: browsers take about five million

const pack = ({ bytes, target }) => [btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")), target];
const unpack = ([text, target]) => ({ bytes: Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), target });

/** Keeps a trail and the state it has led to; of too many steps the oldest are left out. */
export function keepTrail(storage, key, trail, now) {
  const [past, future] = [trail.past, trail.future].map((states) => states.map(pack));
  const text = () => JSON.stringify({ past, future, now: pack(now) });
  let length = text().length;
  while (past.length && length > LONGEST) length -= JSON.stringify(past.shift()).length + 1;
  try {
    try {
      storage().setItem(PREFIX + key, text());
    } catch {
      // Full, perhaps of what sessions that have ended left here.
      Object.keys(storage())
        .filter((name) => name.startsWith(PREFIX))
        .forEach((name) => storage().removeItem(name));
      storage().setItem(PREFIX + key, text());
    }
  } catch {
    // Refused: the steps end with the page.
  }
}

/** What was kept: { past, future, now }, or null; `check` throws for a state that is none. */
export function keptTrail(storage, key, check) {
  try {
    const { past, future, now } = JSON.parse(storage().getItem(PREFIX + key));
    if (past.length > UNDO_DEPTH || future.length > UNDO_DEPTH) return null;
    const kept = { past: past.map(unpack), future: future.map(unpack), now: unpack(now) };
    [...kept.past, ...kept.future, kept.now].forEach(check);
    return kept;
  } catch {
    return null;
  }
}
