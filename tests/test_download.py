"""Downloads from a server on this machine that breaks off, forgets and lies; the sources of the data set."""

import hashlib
import sys
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from maskgan_lib.data import download
from maskgan_lib.data.packed import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; ``behaviour`` changes how."""

    behaviour: str = ""
    ranges: list

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        behaviour, wanted = self.server.behaviour, self.headers.get("Range")
        self.server.ranges.append(wanted)
        if behaviour == "missing" or (behaviour == "down" and len(self.server.ranges) < 3):
            return self.send_error(404 if behaviour == "missing" else 503)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and behaviour != "no ranges" else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/html" if behaviour == "page" else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if behaviour in ("breaks off", "no ranges") and len(self.server.ranges) < 3:
            body = body[:100_000]
            self.close_connection = True
        self.wfile.write(body)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "FIRST_WAIT", 0.0)
    server = Server(("127.0.0.1", 0), Handler)
    server.ranges = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server, path, **checks):
    return download.fetch(server.url, path, progress=False, **checks)


def test_a_file_is_fetched_once(server, tmp_path):
    path = tmp_path / "new" / "file.bin"
    assert fetch(server, path, sha256=SHA256, size=len(CONTENT)) == path
    assert path.read_bytes() == CONTENT
    assert fetch(server, path) == path and len(server.ranges) == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path):
    server.behaviour = "breaks off"
    assert fetch(server, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_call_goes_on_too(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:123_456])
    assert fetch(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=123456-"]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_part_that_is_whole_is_taken(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "file.bin", size=size).read_bytes() == CONTENT


@pytest.mark.parametrize("behaviour", ["no ranges", "down"])
def test_a_server_that_cannot_go_on_or_is_down_for_a_moment_is_asked_again(server, tmp_path, behaviour):
    server.behaviour = behaviour
    assert fetch(server, tmp_path / "file.bin", size=len(CONTENT)).read_bytes() == CONTENT
    assert len(server.ranges) == 3


@pytest.mark.parametrize(
    ("behaviour", "checks", "message"),
    [
        ("missing", {}, "404"),
        ("page", {}, "web page"),
        ("", {"size": len(CONTENT) + 1}, f"{len(CONTENT)} bytes"),
        ("", {"sha256": "0" * 64}, SHA256),
    ],
)
def test_what_is_not_the_file_never_gets_its_name(server, tmp_path, behaviour, checks, message):
    server.behaviour = behaviour
    with pytest.raises(DataError, match=message):
        fetch(server, tmp_path / "file.bin", **checks)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_one_sentence(server, tmp_path):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=rf"{url} .*file\.bin\.$"):
        download.fetch(url, tmp_path / "file.bin", progress=False)


# --- CelebAMask-HQ: packages that download it are stood in for ------------------------------------------------------


def write_zip(path, faces=4):
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(faces):
            archive.writestr(f"CelebAMask-HQ/CelebA-HQ-img/{i}.jpg", b"")


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(download, "CELEBAMASK_HQ_FACES", 4)
    for name in ("huggingface_hub", "gdown", "kagglehub"):
        monkeypatch.setitem(sys.modules, name, None)


def install(monkeypatch, name, **functions):
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(**functions))


def over_quota(*arguments, **settings):
    raise RuntimeError("quota exceeded:\n try tomorrow")


def test_a_zip_that_is_there_is_taken_and_the_terms_are_shown(nothing_installed, tmp_path, capsys):
    write_zip(tmp_path / "CelebAMask-HQ.zip")
    assert download.celebamask_hq(tmp_path) == tmp_path / "CelebAMask-HQ.zip"
    assert "non-commercial" in capsys.readouterr().out


def test_hugging_face_comes_first(nothing_installed, tmp_path, monkeypatch):
    def hf_hub_download(repository, name, repo_type, local_dir):
        assert (repository, name, repo_type) == ("liusq/CelebAMask-HQ", "faces/all.zip", "dataset")
        (local_dir / "faces").mkdir()
        write_zip(local_dir / "faces" / "all.zip")
        return str(local_dir / "faces" / "all.zip")

    def list_repo_files(repository, repo_type):
        return ["README.md", "faces/all.zip"]

    install(monkeypatch, "huggingface_hub", hf_hub_download=hf_hub_download, list_repo_files=list_repo_files)
    install(monkeypatch, "gdown", download=over_quota)
    assert download.celebamask_hq(tmp_path) == tmp_path / "CelebAMask-HQ.zip"


def test_google_drive_is_next_and_resumes(nothing_installed, tmp_path, monkeypatch):
    def get(id, output, resume):
        assert resume
        write_zip(output)
        return output

    install(monkeypatch, "huggingface_hub", list_repo_files=over_quota)
    install(monkeypatch, "gdown", download=get)
    assert download.celebamask_hq(tmp_path) == tmp_path / "CelebAMask-HQ.zip"


def test_kaggle_is_last_and_its_folder_is_searched(nothing_installed, tmp_path, monkeypatch):
    inner = tmp_path / "cache" / "CelebAMask-HQ"
    (inner / "CelebA-HQ-img").mkdir(parents=True)
    (inner / "CelebAMask-HQ-mask-anno").mkdir()
    for i in range(4):
        (inner / "CelebA-HQ-img" / f"{i}.jpg").write_bytes(b"")
    install(monkeypatch, "gdown", download=lambda **settings: None)
    install(monkeypatch, "kagglehub", dataset_download=lambda name: str(tmp_path / "cache"))
    assert download.celebamask_hq(tmp_path / "data") == inner


def test_reasons_of_all_sources_are_told_in_one_line(nothing_installed, tmp_path, monkeypatch):
    install(monkeypatch, "gdown", download=over_quota)
    install(monkeypatch, "kagglehub", dataset_download=lambda name: str(tmp_path))
    with pytest.raises(DataError) as caught:
        download.celebamask_hq(tmp_path)
    said = str(caught.value)
    for named in ("pip install huggingface_hub", "Google Drive: quota exceeded: try tomorrow", "CelebAMask-HQ.zip"):
        assert named in said
    assert "\n" not in said


def test_a_data_set_that_is_not_whole_is_refused(nothing_installed, tmp_path):
    write_zip(tmp_path / "CelebAMask-HQ.zip", faces=3)
    with pytest.raises(DataError, match="3 images, not 4"):
        download.celebamask_hq(tmp_path)
