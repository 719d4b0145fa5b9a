"""What a front end hears from the widgets in a real kernel: version 7 of ipywidgets sends nothing without one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from editor_faces import drawn_mask
from jupyter_client.manager import start_new_kernel

from maskgan_lib.editor.rle import encode_runs

TESTS = Path(__file__).resolve().parent.parent
SIZE = 64
SECONDS = 60

EDITOR = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
from editor_faces import drawn_mask, drawn_session
from maskgan_lib.editor.widget import MaskEditor
editor = MaskEditor(drawn_session(size={SIZE}))
print(editor.model_id)
"""
FIRST, GOOD = encode_runs(drawn_mask(SIZE, 0.06)), encode_runs(drawn_mask(SIZE, 0.03))


class FrontEnd:
    """Speaks to a kernel as a notebook's page does."""

    def __init__(self, client):
        self._client = client

    def run(self, code: str) -> tuple[str, list[dict]]:
        """What the code printed, and the widgets' messages that came of it."""
        printed: list[str] = []
        messages = self._messages_of(self._client.execute(code), printed)
        return "".join(printed).strip(), messages

    def custom(self, model: str, content: dict, *buffers: bytes) -> list[dict]:
        return self._say(model, {"method": "custom", "content": content}, buffers)

    def paint(self, model: str, number: int, runs: bytes) -> list[dict]:
        content = {"type": "command", "view": "v", "n": number, "name": "paint", "arguments": {}}
        return self.custom(model, content, runs)

    def _say(self, model: str, data: dict, buffers: Sequence[bytes]) -> list[dict]:
        session = self._client.session
        message = session.msg("comm_msg", {"comm_id": model, "data": data})
        session.send(self._client.shell_channel.socket, message, buffers=buffers)
        return self._messages_of(message["header"]["msg_id"], [])

    def _messages_of(self, number: str, printed: list[str]) -> list[dict]:
        """The widgets' messages until the kernel has done what was asked; buffers are put into their places."""
        found = []
        while True:
            message = self._client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != number:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return found
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            if message["msg_type"] == "error":
                pytest.fail("\n".join(content["traceback"]))
            if message["msg_type"] in ("comm_open", "comm_msg") and content["data"].get("method") != "echo_update":
                data = content["data"]
                for (name, *_), buffer in zip(data.get("buffer_paths", ()), message["buffers"]):
                    data["state"][name] = bytes(buffer)
                found.append(data | {"model": content["comm_id"], "buffers": message["buffers"]})


@pytest.fixture(scope="module")
def front_end() -> Iterator[FrontEnd]:
    manager, client = start_new_kernel(startup_timeout=SECONDS)
    try:
        yield FrontEnd(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def model(front_end) -> str:
    """The number of an editor that has accepted one edit."""
    number, _ = front_end.run(EDITOR)
    front_end.paint(number, 1, FIRST)
    return number


def updates(messages: list[dict], model: str) -> list[dict]:
    return [message["state"] for message in messages if message["model"] == model and message["method"] == "update"]


def test_a_page_that_opens_gets_everything(front_end):
    number, messages = front_end.run(EDITOR)
    own = [message for message in messages if message["model"] == number]
    opened = {name: value for message in own for name, value in message["state"].items()}
    assert "method" not in own[0]  # the message that opens the line; what Python changed after it follows
    assert opened["edit"] == encode_runs(drawn_mask(SIZE)) and opened["picture"].startswith(b"\xff\xd8")
    assert "render" in opened["_esm"] and ".editor-root" in opened["_css"]


def test_an_edit_is_answered_in_one_message(front_end, model):
    (state,) = updates(front_end.paint(model, 2, GOOD), model)
    assert state["done"][:3] == ["v", 2, None] and state["picture"].startswith(b"\xff\xd8") and state["edit"] == GOOD
    said, _ = front_end.run(f"print((editor.mask == drawn_mask({SIZE}, 0.03)).all())")
    assert said == "True"


def test_a_refusal_leaves_the_good_mask(front_end, model):
    (state,) = updates(front_end.paint(model, 2, b"\x01\xff\xff"), model)
    assert state["done"][2] and "edit" not in state
    said, _ = front_end.run("from maskgan_lib.editor.rle import encode_runs; print(encode_runs(editor.mask).hex())")
    assert said == FIRST.hex()


def test_a_new_view_is_answered_with_the_small_pictures(front_end, model):
    (hello,) = front_end.custom(model, {"type": "ready"})
    assert hello["content"]["type"] == "hello"
    assert len(hello["buffers"]) == len(hello["content"]["keys"]) == 5  # three faces, two results
