// The mask on its canvas.

/**
 * `labels` is the mask: whoever changes or replaces it calls `paint`. A `preview` is seen in its place, and ends when the
 * mask is replaced.
 */
export class Sheet {
  #context;
  #picture;
  #pixels;

  constructor(canvas, size, classes, labels) {
    const colors = new Uint32Array(new Uint8Array(classes.flatMap((one) => [...one.rgb, 255])).buffer); // by class
    Object.assign(this, { size, colors, labels, preview: null });
    this.#context = canvas.getContext("2d");
    this.#picture = this.#context.createImageData(size, size);
    this.#pixels = new Uint32Array(this.#picture.data.buffer);
    this.paint();
  }

  /** Shows the pixels of the box [x0, y0, x1, y1). */
  paint(x0 = 0, y0 = 0, x1 = this.size, y1 = this.size) {
    if (x1 <= x0 || y1 <= y0) return;
    const { colors, seen } = this;
    for (let y = y0; y < y1; y++)
      for (let i = y * this.size + x0; i < y * this.size + x1; i++) this.#pixels[i] = colors[seen[i]];
    this.#context.putImageData(this.#picture, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }

  replace(labels) {
    Object.assign(this, { labels, preview: null });
    this.paint();
  }

  get seen() {
    return this.preview ?? this.labels;
  }

  /** Shows a mask in the place of the mask, or the mask itself again (null). */
  show(preview) {
    this.preview = preview;
    this.paint();
  }

  /** The pixel nearest to a point. */
  pixelAt(point) {
    return point.map((v) => Math.max(0, Math.min(this.size - 1, Math.round(v))));
  }

  classAt(point) {
    const [x, y] = this.pixelAt(point);
    return this.seen[y * this.size + x];
  }
}
