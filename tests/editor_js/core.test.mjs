import assert from "node:assert/strict";
import test from "node:test";

// The caller names the file.
const core = await import(process.env.EDITOR_CORE);
const {
  boxOf,
  capsule,
  fit,
  flood,
  follow,
  maskPng,
  merge,
  mirrorInk,
  mirrorPoint,
  pinched,
  polygon,
  rle,
  same,
  u8,
  unrle,
  zoomAt,
} = core;

/** Reproducible numbers in [0, 1). */
function random(seed) {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

function someLabels(size, seed, patches = 40) {
  const next = random(seed);
  const labels = new Uint8Array(size * size);
  for (let k = 0; k < patches; k++) {
    const start = Math.floor(next() * labels.length);
    labels.fill(Math.floor(next() * 19), start, start + Math.floor((next() * labels.length) / 4));
  }
  return labels;
}

test("masks survive the way there and back", () => {
  for (let seed = 1; seed < 20; seed++) {
    const labels = someLabels(512, seed);
    assert.deepEqual(unrle(rle(labels), labels.length, 19), labels);
  }
});

test("damaged masks are refused before anything is made", () => {
  const bomb = new Uint8Array(15000).fill(255);
  for (const bytes of [[1, 11, 0], [1, 5, 0], [1, 10], [], [19, 10, 0], bomb])
    assert.throws(() => unrle(new Uint8Array(bytes), 10, 19), Error, `${bytes.slice(0, 9)}`);
});

test("bytes of every front end are read", () => {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  assert.deepEqual(u8(new DataView(bytes.buffer, 1, 2)), new Uint8Array([2, 3]));
  assert.deepEqual(u8(bytes.subarray(1)), new Uint8Array([2, 3, 4]));
  assert.deepEqual(u8(bytes.buffer), bytes);
  assert.equal(u8(null).length, 0);
});

test("a stroke is every pixel within the radius of the segment, in its box, with its ink where that may be", () => {
  const size = 64;
  const [source, before] = [someLabels(size, 3), someLabels(size, 4)];
  const allow = new Uint8Array(256).fill(1);
  allow[before[20 * size + 20]] = 0;
  for (const [from, to] of [
    [[10, 10], [40, 20]],
    [[20, 20], [20, 20]],
    [[-5, 3], [80, 3]],
  ]) {
    const labels = before.slice();
    const [x0, y0, x1, y1] = capsule(labels, size, from, to, 5, { source, allow });
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    labels.forEach((value, i) => {
      const [x, y] = [i % size, Math.floor(i / size)];
      const share = ((x - from[0]) * dx + (y - from[1]) * dy) / (dx * dx + dy * dy || 1);
      const along = Math.max(0, Math.min(1, share));
      const distance = Math.hypot(x - from[0] - dx * along, y - from[1] - dy * along);
      if (Math.abs(distance - 5) < 1e-6) return;
      assert.equal(value, distance < 5 && allow[before[i]] ? source[i] : before[i]);
      if (distance < 5) assert.ok(x0 <= x && x < x1 && y0 <= y && y < y1);
    });
  }
});

test("a fill agrees with growing pixel by pixel", () => {
  const size = 24;
  for (let seed = 1; seed < 30; seed++) {
    const next = random(seed);
    const labels = Uint8Array.from({ length: size * size }, () => (next() < 0.6 ? 1 : 0));
    const expected = labels.slice();
    const start = 12 * size + 12;
    const from = labels[start];
    const todo = [start];
    while (todo.length) {
      const i = todo.pop();
      if (expected[i] !== from) continue;
      expected[i] = 9;
      if (i % size) todo.push(i - 1);
      if (i % size < size - 1) todo.push(i + 1);
      if (i >= size) todo.push(i - size);
      if (i < size * (size - 1)) todo.push(i + size);
    }
    flood(labels, size, 12, 12, { value: 9 });
    assert.deepEqual(labels, expected);
  }
});

test("a polygon is the pixels whose centre is inside", () => {
  const size = 32;
  const next = random(5);
  for (let round = 0; round < 30; round++) {
    const points = Array.from({ length: 3 + (round % 5) }, () => [next() * 40 - 4, next() * 40 - 4]);
    const labels = new Uint8Array(size * size);
    polygon(labels, size, points, { value: 4 });
    labels.forEach((value, i) => {
      const [x, y] = [i % size, Math.floor(i / size)];
      let inside = false;
      points.forEach(([ax, ay], k) => {
        const [bx, by] = points[(k + 1) % points.length];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      });
      assert.equal(value, inside ? 4 : 0, `${x},${y}`);
    });
  }
});

test("the mirror swaps sides", () => {
  const partners = Array.from({ length: 19 }, (_, i) => i);
  [partners[4], partners[5]] = [5, 4];
  assert.deepEqual(mirrorPoint([3, 7], 64), [60, 7]);
  assert.deepEqual(mirrorPoint(mirrorPoint([3.5, 7], 64), 64), [3.5, 7]);
  assert.equal(mirrorInk({ value: 4 }, partners).value, 5);
  assert.equal(mirrorInk({ value: 13 }, partners).value, 13);
  const allow = new Uint8Array(256);
  allow[4] = allow[1] = 1;
  const restore = mirrorInk({ source: "original", allow }, partners);
  assert.equal(restore.source, "original");
  assert.deepEqual(
    [4, 5, 1, 0].map((i) => restore.allow[i]),
    [0, 1, 1, 0],
  );
});

test("two changes at once are both kept", () => {
  const base = new Uint8Array([0, 0, 0, 0]);
  assert.deepEqual(
    merge(base, new Uint8Array([0, 5, 0, 5]), new Uint8Array([7, 7, 0, 0])),
    new Uint8Array([7, 5, 0, 5]),
  );
  assert.deepEqual(merge(base, base, new Uint8Array([1, 2, 3, 4])), new Uint8Array([1, 2, 3, 4]));
  assert.ok(
    same(base, new Uint8Array(4)) && !same(base, new Uint8Array([0, 0, 0, 1])) && !same(base, new Uint8Array(3)),
  );
});

test("the box of a part", () => {
  const labels = new Uint8Array(100);
  [23, 24, 47].forEach((i) => (labels[i] = 4));
  assert.deepEqual(boxOf(labels, 10, [4, 5]), [3, 2, 8, 5]);
  assert.equal(boxOf(labels, 10, [6]), null);
});

test("zooming keeps what is under the pointer, and the picture in its frame", () => {
  const next = random(11);
  let at = { zoom: 1, x: 0, y: 0 };
  for (let k = 0; k < 200; k++) {
    const point = [next(), next()];
    const before = [(point[0] - at.x) / at.zoom, (point[1] - at.y) / at.zoom];
    const now = zoomAt(at, point, next() < 0.7 ? 1.3 : 0.9);
    const after = [(point[0] - now.x) / now.zoom, (point[1] - now.y) / now.zoom];
    if (now.zoom > at.zoom) assert.ok(Math.hypot(before[0] - after[0], before[1] - after[1]) < 1e-9);
    assert.ok(now.zoom >= 1 && now.zoom <= 16 && now.x <= 0 && now.x >= 1 - now.zoom - 1e-9);
    at = now;
  }
  assert.deepEqual(fit({ zoom: 0.2, x: 5, y: -5 }), { zoom: 1, x: 0, y: 0 });
});

const seen = (at, [x, y]) => [at.x + at.zoom * x, at.y + at.zoom * y];

test("two fingers keep what is under them", () => {
  const at = { zoom: 2, x: -0.4, y: -0.5 };
  const fingers = [
    [0.4, 0.4],
    [0.6, 0.6],
  ];
  assert.deepEqual(pinched(at, fingers, fingers), at);
  const moved = [
    [0.35, 0.3],
    [0.75, 0.7],
  ];
  const now = pinched(at, fingers, moved);
  assert.ok(Math.abs(now.zoom - 4) < 1e-9);
  fingers.forEach(([x, y], i) => {
    const place = seen(now, [(x - at.x) / at.zoom, (y - at.y) / at.zoom]);
    assert.ok(Math.hypot(place[0] - moved[i][0], place[1] - moved[i][1]) < 1e-9);
  });
});

test("a zoomed picture follows a point, and no farther than it must", () => {
  const next = random(13);
  for (let k = 0; k < 200; k++) {
    const at = fit({ zoom: 1 + 9 * next(), x: -9 * next(), y: -9 * next() });
    const point = [next(), next()];
    const now = follow(at, point);
    seen(now, point).forEach((v) => assert.ok(v > -1e-9 && v < 1 + 1e-9));
    assert.equal(now.zoom, at.zoom);
    const before = seen(at, point);
    if (before.every((v) => v > 0.05 && v < 0.95)) assert.deepEqual(now, at);
  }
});

test("a mask is saved as a PNG that unpacks to its ids", async () => {
  const labels = someLabels(16, 4);
  const colors = Array.from({ length: 19 }, (_, i) => [i, 2 * i, 255 - i]);
  const bytes = new Uint8Array(await (await maskPng(labels, 16, colors)).arrayBuffer());
  const view = new DataView(bytes.buffer);
  const chunks = {};
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    chunks[String.fromCharCode(...bytes.subarray(at + 4, at + 8))] = bytes.subarray(at + 8, at + 8 + length);
    at += 12 + length;
  }
  assert.deepEqual(chunks.PLTE, new Uint8Array(colors.flat()));
  const unpacked = new Response(new Blob([chunks.IDAT]).stream().pipeThrough(new DecompressionStream("deflate")));
  const rows = new Uint8Array(await unpacked.arrayBuffer());
  labels.forEach((value, i) => assert.equal(rows[Math.floor(i / 16) * 17 + 1 + (i % 16)], value));
});
