"""The survey as a widget: pictures, keys and progress for one rater in a notebook."""

import base64
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image, ImageDraw, ImageFont, ImageOps

from maskgan_lib.evaluation.survey.session import CRITERIA, LETTERS, Question, SurveyItem, SurveySession

HERE = Path(__file__).parent
STILL, CAPTION = 176, 24
"""Height in pixels of the pictures in the still of a survey, and of the line below them."""


class Survey(anywidget.AnyWidget):
    """Asks a rater to choose among unlabelled, shuffled results; goes on where this rater stopped.

    Keys 1, 2, ... or A, B, ... choose, Backspace or the left arrow takes the last answer back. An answer counts, and
    the next question appears, only when the answer is on the disk. Arguments and errors as in ``SurveySession``.

    The view sends ``{"type": "answer", "choice": i}`` or ``{"type": "back"}`` with the ``turn`` that it saw. Whether it
    could be stored or not, the next turn follows, with an ``error`` or "". What belongs to another turn (a second
    click, another view) changes nothing.
    """

    _esm = (HERE / "view.js").read_text(encoding="utf-8")
    _css = (HERE / "style.css").read_text(encoding="utf-8")

    question = traitlets.Dict().tag(sync=True)
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, items: Sequence[SurveyItem], answers: str | Path, rater: str, seed: int = 0):
        self.session = SurveySession(items, answers, rater, seed)
        self._turn = 0
        self._lock = threading.Lock()  # JupyterLab delivers messages on another thread while a cell runs
        self._about = f"Survey({len(items)} items, {len(CRITERIA)} questions each)"
        shown, pictures = self._shown()
        super().__init__(question=shown, pictures=pictures)
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: dict, _buffers: Any) -> None:
        match content:
            case {"type": "hello"}:  # "are you there?"
                self.send({"type": "hello"})
            case {"type": "shown", "turn": turn}:
                with self._lock:
                    if turn == self._turn:
                        self.session.restart_clock()
            case {"type": "answer" | "back", "turn": turn}:
                with self._lock:
                    if turn == self._turn:
                        error = self._decide(content)
                        self._turn += 1
                        with self.hold_sync():  # one message: the answer is on the disk, and this comes next
                            self.question, self.pictures = self._shown(error)

    def _decide(self, content: dict) -> str:
        """What went wrong, or ""."""
        try:
            self.session.back() if content["type"] == "back" else self.session.answer(content["choice"])
        except Exception as error:  # else only the front end's log would have it
            return str(error) or type(error).__name__
        return ""

    def _shown(self, error: str = "") -> tuple[dict, list[str]]:
        """What the view may know of the current question, and its pictures as data URLs.

        Nothing in it tells which method made what.
        """
        session, question = self.session, self.session.question
        common = {
            "turn": self._turn,
            "error": error,
            "total": session.total,
            "answered": session.answered,
            "rater": session.rater,
            "file": str(session.path),
            "finished": question is None,
        }
        if question is None:
            return common, []
        given = _given(question)
        pictures = (*given.values(), *question.pictures)
        about = {
            "number": question.number,
            "task": question.item.task,
            "criterion": question.criterion,
            "prompt": CRITERIA[question.criterion],
            "step": list(CRITERIA).index(question.criterion) + 1,
            "steps": len(CRITERIA),
            "given": list(given),
            "letters": LETTERS[: len(question.shown)],
        }
        return common | about, [f"data:image/png;base64,{_png(picture)}" for picture in pictures]

    def __repr__(self) -> str:
        return self._about

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        """The live view, and a still of this rater's first question for readers without a kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return {**data, "image/png": _png(_still(self.session.questions[0]))}, metadata


def _given(question: Question) -> dict[str, np.ndarray]:
    item = question.item
    return {"Target": item.target} | ({} if item.source is None else {"Source": item.source})


def _png(picture: np.ndarray) -> str:
    """In base64. Lossless: traces of JPEG would look less real, and hide differences."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)
    return base64.b64encode(file.getvalue()).decode()


def _still(question: Question) -> np.ndarray:
    """The pictures of a question in a row with their captions, uint8 ``[H, W, 3]``."""
    tiles, font = [], ImageFont.load_default(size=14)
    for title, picture in (*_given(question).items(), *zip(LETTERS, question.pictures)):
        image = Image.fromarray(picture)
        width = round(image.width * STILL / image.height)
        tile = ImageOps.expand(image.resize((width, STILL)), (0, 0, 8, CAPTION), "white")
        ImageDraw.Draw(tile).text((width / 2, STILL + CAPTION / 2), title, "black", font, anchor="mm")
        tiles.append(np.asarray(tile))
    return np.hstack(tiles)
