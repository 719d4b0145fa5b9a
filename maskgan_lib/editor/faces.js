// Small pictures of faces and results, and rows of them to choose from.

import { button, make } from "./elements.js";

/** The kernel is asked once for each picture that is shown: face by place, result by key. */
export class Thumbs {
  #urls = new Map(); // by key
  #waiting = new Map(); // images, by key
  #wanted = []; // keys that nobody has asked for yet

  constructor(editor) {
    this.editor = editor;
  }

  image(key, alt) {
    const node = make("img", "thumb", "", { alt, draggable: "false" });
    if (this.#urls.has(key)) node.src = this.#urls.get(key);
    else if (this.#waiting.has(key)) this.#waiting.get(key).push(node);
    else {
      this.#waiting.set(key, [node]);
      if (this.#wanted.push(key) === 1) queueMicrotask(() => this.#ask());
    }
    return node;
  }
  #ask() {
    this.editor.kernel.greet({ type: "thumbs", view: this.editor.name, keys: this.#wanted.splice(0) });
  }
  /** JPEG files have come. */
  take(keys, files) {
    keys.forEach((key, i) => {
      const url = `data:image/jpeg;base64,${btoa(String.fromCharCode(...files[i]))}`;
      this.#urls.set(key, url);
      for (const node of this.#waiting.get(key) ?? []) node.src = url;
      this.#waiting.delete(key);
    });
  }
  /** Forgets pictures of results that are not among these. */
  keep(keys) {
    for (const key of this.#urls.keys()) if (isNaN(key) && !keys.includes(key)) this.#urls.delete(key);
  }
}

/** A row of all faces: `isChosen` and `act` are called with a face's place. */
export class Strip {
  #count = 0;

  constructor(editor, name, title, isChosen, act) {
    Object.assign(this, { editor, title, isChosen, act });
    this.node = make("div", `strip ${name}`, "", { role: "group", "aria-label": name });
    editor.on("state", () => this.show());
  }

  show() {
    const { faces } = this.editor.state;
    for (; this.#count < faces.length; this.#count++) {
      const [i, name] = [this.#count, faces[this.#count]];
      const face = button("face", "", `${this.title} ${name}`, () => {
        this.act(i);
        this.show();
      });
      face.append(this.editor.thumbs.image(`${i}`, name), make("span", "face-name", name));
      face.dataset.face = i;
      this.node.append(face);
    }
    [...this.node.children].forEach((face, i) => face.setAttribute("aria-pressed", this.isChosen(i)));
  }
}

/** The pictures of the session, the last one first; a click goes back to one. */
export class Results {
  #shown = "";

  constructor(editor) {
    this.editor = editor;
    this.node = make("div", "strip results", "", { role: "group", "aria-label": "results" });
    editor.on("state", () => this.#show());
  }

  #show() {
    const { root, state, kernel, thumbs } = this.editor;
    const keys = state.results.map(([key]) => key);
    if (keys.join() === this.#shown || !kernel.isIdle) return;
    this.#shown = keys.join();
    thumbs.keep(keys);
    const buttons = state.results.map(([key, name]) => {
      const node = button("face", "", `Back to: ${name}`, () => this.editor.command("go_back", { result: key }));
      node.append(thumbs.image(key, name), make("span", "face-name", name));
      return node;
    });
    this.node.replaceChildren(...buttons.reverse());
    root.dataset.results = buttons.length;
  }
}
