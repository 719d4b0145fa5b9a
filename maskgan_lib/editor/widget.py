"""The mask editor as a widget: what a browser and the kernel say to each other. All logic is in ``session.py``."""

import base64
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.classes import CLASS_NAMES, CLASS_TITLES, COLORS, FLIPPED_ID, colorize
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.label_maps import SCHEMES
from maskgan_lib.editor.components import COMPONENTS, SHOWING, STYLE_REGIONS
from maskgan_lib.editor.rle import encode_runs
from maskgan_lib.editor.session import EditSession
from maskgan_lib.editor.storage import encode_picture

HERE = Path(__file__).parent
MODULES = "core words elements kernel mask drawing moving tools picture panels input view".split()
"""The view's files. Each one imports from those before it, and no two define the same name."""
LIVE = ("drawing", "stroke", "button")
"""When a picture is made of a changed mask: again and again while drawing, at a stroke's end, when a button asks."""

QUALITY = 92
THUMB = 96
"""Side in pixels of the small pictures of faces and results."""
LONGEST_ERROR = 300
STILL = 256
"""Side in pixels of each picture in the still of an editor."""
AS_IT_IS = (
    *("size", "target", "style", "style_mix", "region_styles", "regional", "methods", "method", "keep", "directions"),
    *("sliders", "blend", "preview_amounts", "autosaved", "autosave_trouble"),
)
"""What a view sees of a session as it is."""
FROM_PYTHON = ("", 0)
"""View and number of a change that no view has asked for."""

CLASSES = [
    {"name": name, "title": title, "rgb": rgb, "partner": partner}
    for name, title, rgb, partner in zip(CLASS_NAMES, CLASS_TITLES, COLORS.tolist(), FLIPPED_ID.tolist())
]

Seq = tuple[str, int]


def _module() -> str:
    """``MODULES`` as one module: nothing is fetched by the browser."""
    text = "".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in MODULES)
    text = re.sub(r'^import \{[^}]*\} from "\./\w+\.js";\n', "", text, flags=re.M)
    return re.sub(r"^export (?!default)", "", text, flags=re.M)


class MaskEditor(anywidget.AnyWidget):
    """Shows an ``EditSession`` in a notebook: paint on the mask, see the face.

    ``live`` is one of ``LIVE``; ``brush`` is the radius of the brush in pixels of the mask, 1 to 100. Python and the
    browser work on the same ``session``. What Python does through this object is seen at once; after calls to the
    session itself, call ``refresh()``. While a stroke and a change by Python are both on their way, the
    kernel keeps what reaches it last. Undo, redo and results are the session's: all views of it have the same.

    A training cell must not write to an editor: the strokes after that would wait for the cell's end.
    """

    _esm = _module()
    _css = "".join((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "panels.css"))

    # Both ways.
    live = traitlets.Enum(LIVE, "stroke").tag(sync=True)
    brush = traitlets.Int(12, min=1, max=100).tag(sync=True)
    # Kernel to view.
    edit = traitlets.Bytes().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    photo = traitlets.Bytes().tag(sync=True)
    original = traitlets.Bytes().tag(sync=True)
    preview = traitlets.Bytes().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    done = traitlets.Tuple(  # view, number, error, milliseconds
        traitlets.Unicode(),
        traitlets.Int(),
        traitlets.Unicode(allow_none=True),
        traitlets.Float(),
        default_value=(*FROM_PYTHON, None, 0.0),
    ).tag(sync=True)

    def __init__(self, session: EditSession, live: str = "stroke", brush: int | None = None):
        self.session = session
        self._lock = threading.RLock()  # JupyterLab delivers messages on another thread while a cell runs
        super().__init__(live=live, brush=brush or max(1, round(12 * session.size / 512)))
        self.on_msg(self._on_message)
        with self._lock:
            answer = self._try(self._draw)
            self._known = set(self._thumbs())  # keys of the small pictures that every view has or asks for
            self._publish(FROM_PYTHON, *answer)

    # ---- for Python

    @property
    def mask(self) -> np.ndarray:
        """A copy of the mask, uint8 ``[S, S]``. Setting it checks it and makes a picture."""
        return self.session.mask

    @mask.setter
    def mask(self, mask: np.ndarray) -> None:
        with self._lock:
            self.session.mask = mask
            self.refresh()

    def command(self, name: str, /, **arguments: Any) -> None:
        """What a button does: a command of the session, see ``COMMANDS``, then a picture of the mask.

        ``editor.command("copy_component", face=2, group="mouth")``. ``EditError`` if it cannot be done.
        """
        with self._lock:
            try:
                with self.session.gesture(None):
                    self._carry_out(name, arguments)
            finally:
                self._publish(FROM_PYTHON)

    def refresh(self) -> None:
        """Makes a picture of the session as it is now and shows both."""
        self.command("render")

    # ---- for the view

    def _on_message(self, _widget: Any, content: dict, buffers: Sequence) -> None:
        match content:
            case {"type": "ready"}:
                with self._lock:
                    self._send_thumbs("hello", self._thumbs())
            case {"type": "photo", "view": str(view)}:
                with self._lock:
                    self._publish(FROM_PYTHON, *self._try(lambda: self._send_photo(view)))
            case {"type": "command", "view": str(view), "n": int(n), "name": name, "arguments": arguments}:
                if buffers and isinstance(arguments, dict):
                    arguments = arguments | {"data": bytes(buffers[0])}
                gesture, is_open, draw = (content.get(key) for key in ("gesture", "open", "draw"))
                with self._lock, self.session.gesture(gesture, ended=not is_open):
                    answer = self._try(lambda: self._carry_out(name, arguments, draw is not False))
                with self._lock:
                    self._publish((view, n), *answer)

    def _send_photo(self, view: str) -> None:
        self.send({"type": "photo", "view": view}, [encode_picture(self.session.whole_photo(), "JPEG", 95)])

    def _carry_out(self, name: str, arguments: dict, draw: bool = True) -> None:
        if name != "render":
            self.session.command(name, arguments)
        if draw:
            self._draw()

    def _draw(self) -> None:
        if not self.session.is_drawn:
            self.session.render()

    def _try(self, work: Callable[[], Any]) -> tuple[str | None, float]:
        """The error or None, and the milliseconds it took. What is raised here, only a front end's log would have."""
        start, text = time.perf_counter(), None
        try:
            work()
        except Exception as error:
            kind = "" if isinstance(error, (DataError, CheckpointError)) else f"{type(error).__name__}: "
            text = f"{kind}{error}"[:LONGEST_ERROR]
        return text, 1e3 * (time.perf_counter() - start)

    def _publish(self, seq: Seq, error: str | None = None, milliseconds: float = 0.0) -> None:
        """Tells the view everything that has changed, in one message with the answer."""
        session = self.session
        with self.hold_sync():
            self.edit = encode_runs(session.mask)
            if session.image is not None:
                self.picture = _jpeg(session.image)
            self.photo = _jpeg(session.photo)
            self.original = encode_runs(session.original)
            self.preview = b"" if session.preview is None else encode_runs(session.preview)
            self.state = self._about()
            self.done = (*seq, error, milliseconds)
        pictures = self._thumbs()
        new = {key: picture for key, picture in pictures.items() if key not in self._known}
        self._known = set(pictures)
        if new:
            self._send_thumbs("thumbs", new)

    def _about(self) -> dict:
        session = self.session
        undone = [step.name for step in session.undone]
        return {name: getattr(session, name) for name in AS_IT_IS} | {
            "classes": CLASSES,
            "components": {name: list(ids) for name, ids in COMPONENTS.items()},
            "schemes": list(SCHEMES),
            "regions": list(STYLE_REGIONS),
            "styles_around": {name: session.style_around(name) for name in STYLE_REGIONS},
            "attributes": [(name, *SHOWING[name]) for name in session.attributes],
            "faces": [(face.key[1], face.name) for face in session.faces],
            "own_photo": session.faces[session.target].origin is not None,
            "groups": session.groups(),
            "undo": {"count": len(session.done) - 1, "name": session.done[-1].name},
            "redo": {"count": len(undone), "name": "".join(undone[:1])},
            "results": [(step.key, step.name) for step in session.history],
        }

    def _thumbs(self) -> dict[str, np.ndarray]:
        """The pictures of faces and results that a view shows small, by key."""
        faces = {face.key[1]: face.image for face in self.session.faces}
        return faces | {step.key: step.image for step in self.session.history}

    def _send_thumbs(self, kind: str, pictures: dict[str, np.ndarray]) -> None:
        files = [_jpeg(picture, THUMB) for picture in pictures.values()]
        self.send({"type": kind, "keys": list(pictures)}, files)

    # ---- for readers without a kernel

    def __repr__(self) -> str:
        return f"MaskEditor({self.session.size} x {self.session.size}, {len(self.session.faces)} faces)"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        """The live view, and a still of photo, mask and picture."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        pictures = [self.session.photo, colorize(self.session.mask)]
        pictures += [] if self.session.image is None else [self.session.image]
        small = [np.asarray(Image.fromarray(picture).resize((STILL, STILL))) for picture in pictures]
        file = encode_picture(np.concatenate(small, axis=1))
        return {**data, "image/png": base64.b64encode(file).decode()}, metadata


def _jpeg(picture: np.ndarray, side: int | None = None) -> bytes:
    if side is not None:
        picture = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))
    return encode_picture(picture, "JPEG", QUALITY)
