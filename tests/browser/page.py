"""A widget's real view in a real page, with the real widget behind it and no Jupyter between them.

``mount`` puts the view of an anywidget into an empty page. What either side says is kept until ``Mounted.deliver``
carries it over, as if by a kernel that has just become idle, so that a test can look at the time in between.
"""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Error, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")  # no sandbox: tests may run as root

MODEL = """
async ([source, traits, data, colab]) => {
  const handlers = {};
  const model = {
    state: {},
    messages: [],  // to the kernel, not delivered yet
    buffers: [],  // of each of them, arrays of numbers
    changed: [],  // names of traits that the view has set, not delivered yet
    sent: {},  // what it has set them to last: the kernel may change them again before it hears of that
    dead: false,
    get: (name) => model.state[name],
    set: (name, value) => {
      const values = typeof name === "string" ? { [name]: value } : name;
      Object.assign(model.state, values);
      Object.assign(model.sent, values);
      model.changed.push(...Object.keys(values));
    },
    save_changes: () => {},
    send: (content, _callbacks, buffers = []) => {
      if (model.dead) throw new Error("Cannot send");
      model.messages.push(content);
      model.buffers.push(buffers.map((buffer) => Array.from(new Uint8Array(buffer))));
    },
    on: (event, handler) => (handlers[event] ||= []).push(handler),
    off: (event, handler) => (handlers[event] = (handlers[event] || []).filter((other) => other !== handler)),
    listeners: () => Object.values(handlers).flat().length,
    fire: (event, ...values) => [...(handlers[event] || [])].forEach((handler) => handler(...values)),
    // All traits of one message are there before the first event, as in ipywidgets.
    receive: (traits, data) => {
      Object.assign(model.state, traits);
      for (const [name, text] of Object.entries(data)) {
        const array = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        model.state[name] = colab ? array : new DataView(array.buffer);
      }
      [...Object.keys(traits), ...Object.keys(data)].forEach((name) => model.fire(`change:${name}`));
    },
  };
  window.model = model;
  model.receive(traits, data);
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.showView = async () => {  // once more: a second view of the same model
    const el = document.body.appendChild(document.createElement("div"));
    window.cleanUp = await module.default.render({ model, el });
  };
  await showView();
}
"""


class NoBrowser(Exception):
    """There is no browser here to drive."""


@contextmanager
def chromium() -> Iterator:
    """A Chromium of the system without a window; CHROMIUM may name another one. ``NoBrowser`` if there is none."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise NoBrowser(f"There is none of {', '.join(NAMES)} here: install Chromium, or name it in CHROMIUM.")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            raise NoBrowser(f"{path} does not start ({error.message}).") from error
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser, **options: Any) -> Iterator[Page]:
    """A page that shares nothing with others; ``errors`` and ``requests`` list what went wrong and what was fetched."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
    page = context.new_page()
    page.errors, page.requests = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: page.requests.append(request.url))
    try:
        yield page
    finally:
        context.close()


class Mounted:
    """The view of ``widget`` in ``page``."""

    def __init__(self, page: Page, widget: Any):
        self.page, self.widget = page, widget
        self._known = self._state()
        self._said: list[tuple[dict, list[bytes]]] = []
        widget.send = lambda content, buffers=None: self._said.append((content, buffers or []))
        send_state = widget.send_state

        def sending(key: Any = None) -> None:  # what is sent on purpose arrives, even if it is no news
            for name in [key] if isinstance(key, str) else key or ():
                self._known.pop(name, None)
            send_state(key)

        widget.send_state = sending

    def waiting(self) -> list[dict]:
        """What the view has said and the kernel has not heard."""
        return self.page.evaluate("model.messages")

    def deliver(self, limit: int | None = None) -> None:
        """The kernel hears everything in order, or the first ``limit`` messages, and the view what it answers."""
        for name in self.page.evaluate("model.changed.splice(0)"):
            value = self.page.evaluate(
                "(name) => { const value = model.sent[name];"
                " return value?.buffer ? { bytes: Array.from(new Uint8Array(value.buffer)) } : { value } }",
                name,
            )
            self._known[name] = bytes(value["bytes"]) if "bytes" in value else value["value"]  # no echo
            self.widget.set_state({name: memoryview(bytes(value["bytes"])) if "bytes" in value else value["value"]})
        script = "(limit) => [model.messages, model.buffers].map((list) => list.splice(0, limit ?? Infinity))"
        for content, buffers in zip(*self.page.evaluate(script, limit)):
            self.widget._handle_custom_msg(content, [memoryview(bytes(buffer)) for buffer in buffers])
            self._answer()
        self._answer()

    def _answer(self) -> None:
        state = self._state()
        traits, data = _parts({name: value for name, value in state.items() if value != self._known.get(name)})
        self._known = state
        if traits or data:
            self.page.evaluate("([traits, data]) => model.receive(traits, data)", [traits, data])
        for content, buffers in self._said:
            self.page.evaluate(
                "([content, buffers]) => model.fire('msg:custom', content,"
                " buffers.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)))",
                [content, [base64.b64encode(buffer).decode() for buffer in buffers]],
            )
        self._said.clear()

    def _state(self) -> dict[str, Any]:
        skipped = ("_esm", "_css", "layout")
        return {name: value for name, value in self.widget.get_state().items() if name not in skipped}


def mount(page: Page, widget: Any, colab: bool = False, address: str = "about:blank") -> Mounted:
    """Shows the widget in an empty page. ``colab``: bytes arrive as ``Uint8Array``, not as ``DataView``."""
    mounted = Mounted(page, widget)
    page.goto(address)  # a fresh window: nothing of the last view is left
    page.set_content(f"<!doctype html><meta charset=utf-8><style>{widget._css}</style>")
    traits, data = _parts(mounted._known)
    page.evaluate(MODEL, [widget._esm, traits, data, colab])
    return mounted


def _parts(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Traits that are JSON, and those that are bytes, as base64."""
    data = {name: value for name, value in state.items() if isinstance(value, (bytes, memoryview))}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return {name: value for name, value in state.items() if name not in data}, encoded
