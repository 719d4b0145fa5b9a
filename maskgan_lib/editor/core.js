// Pure functions of the editor on label maps: no page, no Jupyter. Tested with `node --test`.
// A label map is a Uint8Array of size * size classes, row by row; point [0, 0] is the centre of its first pixel.
// An ink says what a pixel becomes: { value } a class, or { source } the pixel of another label map, such as the
// original; with { allow }, 256 numbers by class, pixels of a class whose number is 0 stay as they are.

const MAX_RUN = 65535;

/** Bytes of whatever a front end delivers: JupyterLab a DataView, Colab a Uint8Array. */
export function u8(data) {
  if (data == null) return new Uint8Array();
  return new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
}

/** Labels as triples: class, low byte, high byte of the run's length. */
export function rle(labels) {
  const out = [];
  for (let start = 0, end; start < labels.length; start = end) {
    const value = labels[start];
    for (end = start + 1; end < labels.length && labels[end] === value && end - start < MAX_RUN;) end++;
    out.push(value, (end - start) & 255, (end - start) >> 8);
  }
  return new Uint8Array(out);
}

/** Exactly `count` labels below `classes`, or an error. */
export function unrle(bytes, count, classes = 256) {
  if (bytes.length % 3 || bytes.length > 3 * count) throw new Error(`A mask of ${bytes.length} bytes is damaged.`);
  let total = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    if (bytes[i] >= classes) throw new Error(`There is no class ${bytes[i]}.`);
    total += bytes[i + 1] | (bytes[i + 2] << 8);
  }
  if (total !== count) throw new Error(`A mask of ${total} pixels does not fit ${count}.`);
  const labels = new Uint8Array(count);
  for (let i = 0, at = 0; i < bytes.length; i += 3) {
    const end = at + (bytes[i + 1] | (bytes[i + 2] << 8));
    labels.fill(bytes[i], at, end);
    at = end;
  }
  return labels;
}

export function same(a, b) {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** What `mine` changed since `base`, on top of `theirs`: a stroke and a kernel's change at once, neither lost. */
export function merge(base, mine, theirs) {
  return theirs.map((value, i) => (mine[i] === base[i] ? value : mine[i]));
}

function put(labels, i, ink) {
  if (ink.allow && !ink.allow[labels[i]]) return;
  labels[i] = ink.source ? ink.source[i] : ink.value;
}

/** Paints every pixel within `radius` of the segment from..to; returns the box [x0, y0, x1, y1) it lies in. */
export function capsule(labels, size, from, to, radius, ink) {
  const [ax, ay] = from;
  const [dx, dy] = [to[0] - ax, to[1] - ay];
  const x0 = Math.max(0, Math.floor(Math.min(ax, to[0]) - radius));
  const y0 = Math.max(0, Math.floor(Math.min(ay, to[1]) - radius));
  const x1 = Math.min(size, Math.ceil(Math.max(ax, to[0]) + radius) + 1);
  const y1 = Math.min(size, Math.ceil(Math.max(ay, to[1]) + radius) + 1);
  const square = dx * dx + dy * dy;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const along = square ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / square)) : 0;
      const [ex, ey] = [x - ax - along * dx, y - ay - along * dy];
      if (ex * ex + ey * ey <= radius * radius) put(labels, y * size + x, ink);
    }
  }
  return [x0, y0, x1, y1];
}

/** Fills the pixels of one class that hang together with (x, y) by their sides. */
export function flood(labels, size, x, y, ink) {
  const value = labels[y * size + x];
  const seen = new Uint8Array(labels.length);
  const todo = [y * size + x];
  while (todo.length) {
    const i = todo.pop();
    if (seen[i] || labels[i] !== value) continue;
    seen[i] = 1;
    put(labels, i, ink);
    if (i % size) todo.push(i - 1);
    if ((i + 1) % size) todo.push(i + 1);
    if (i >= size) todo.push(i - size);
    if (i + size < labels.length) todo.push(i + size);
  }
}

/** Fills a closed polygon: pixels whose centre is inside by the even-odd rule. */
export function polygon(labels, size, points, ink) {
  for (let y = 0; y < size; y++) {
    const crossings = [];
    points.forEach(([ax, ay], k) => {
      const [bx, by] = points[(k + 1) % points.length];
      if (ay <= y !== by <= y) crossings.push(ax + ((y - ay) * (bx - ax)) / (by - ay));
    });
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const end = Math.min(size - 1, Math.floor(crossings[k + 1]));
      for (let x = Math.max(0, Math.ceil(crossings[k])); x <= end; x++) put(labels, y * size + x, ink);
    }
  }
}

/** A point on the other side of the vertical middle line. */
export const mirrorPoint = ([x, y], size) => [size - 1 - x, y];

/** The ink for the other side: a left eye becomes a right eye, what may be painted over too. */
export function mirrorInk({ value, source, allow }, partners) {
  const other = allow && partners.reduce((sum, partner, i) => ((sum[i] = allow[partner]), sum), new Uint8Array(256));
  return { value: partners[value], source, allow: other };
}

/** Box [x0, y0, x1, y1) of the pixels of these classes, or null. */
export function boxOf(labels, size, classes) {
  let box = null;
  labels.forEach((value, i) => {
    if (!classes.includes(value)) return;
    const [x, y] = [i % size, Math.floor(i / size)];
    const [x0, y0, x1, y1] = box ?? [x, y, x, y];
    box = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x + 1), Math.max(y1, y + 1)];
  });
  return box;
}

const MAX_ZOOM = 16;

/** Keeps a zoomed picture { zoom, x, y } (x, y in sides of its frame, 0 or less) inside its frame. */
export function fit({ zoom, x, y }) {
  zoom = Math.max(1, Math.min(MAX_ZOOM, zoom));
  const inside = (offset) => Math.min(0, Math.max(1 - zoom, offset));
  return { zoom, x: inside(x), y: inside(y) };
}

/** Zooms so that what is under [x, y], in sides of the frame, stays there. */
export function zoomAt(at, [x, y], factor) {
  const zoom = Math.max(1, Math.min(MAX_ZOOM, at.zoom * factor));
  const by = zoom / at.zoom;
  return fit({ zoom, x: x - (x - at.x) * by, y: y - (y - at.y) * by });
}

/** Where two fingers at [a, b] take what was `at` when they were at [a0, b0]; all in sides of the frame. */
export function pinched(at, [a0, b0], [a, b]) {
  const far = (p, q) => Math.max(0.01, Math.hypot(p[0] - q[0], p[1] - q[1]));
  const middle = (p, q) => [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
  const [old, now] = [middle(a0, b0), middle(a, b)];
  const zoomed = zoomAt(at, old, far(a, b) / far(a0, b0));
  return fit({ ...zoomed, x: zoomed.x + now[0] - old[0], y: zoomed.y + now[1] - old[1] });
}

/** The least pan that brings a point, in sides of the picture, into the frame, `margin` from its edge. */
export function follow({ zoom, x, y }, [px, py], margin = 0.05) {
  const panned = (offset, p) => {
    const seen = offset + zoom * p;
    return offset + Math.max(margin - seen, 0) + Math.min(1 - margin - seen, 0);
  };
  return fit({ zoom, x: panned(x, px), y: panned(y, py) });
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const bigEndian = (number) => [24, 16, 8, 0].map((bits) => (number >>> bits) & 255);

function pngChunk(kind, data) {
  const content = new Uint8Array([...new TextEncoder().encode(kind), ...data]);
  return new Uint8Array([...bigEndian(data.length), ...content, ...bigEndian(crc32(content))]);
}

/** A PNG file whose pixels are class ids and whose palette shows them in colours [[r, g, b], ...]. */
export async function maskPng(labels, size, colors) {
  const rows = new Uint8Array(size * (size + 1)); // each begins with its filter: none
  for (let y = 0; y < size; y++) rows.set(labels.subarray(y * size, (y + 1) * size), y * (size + 1) + 1);
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  return new Blob([
    new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
    pngChunk("IHDR", [...bigEndian(size), ...bigEndian(size), 8, 3, 0, 0, 0]), // 8 bits a pixel, by palette
    pngChunk("PLTE", colors.flat()),
    pngChunk("IDAT", new Uint8Array(await packed.arrayBuffer())),
    pngChunk("IEND", []),
  ]);
}
