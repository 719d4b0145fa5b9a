"""The sources of the data set: packages that download it are stood in for."""

import sys
import types
import zipfile

import pytest

from maskgan_lib.data import download
from maskgan_lib.data.packed import DataError


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


def test_a_whole_zip_that_is_there_is_taken_and_the_terms_are_shown(nothing_installed, tmp_path, capsys):
    write_zip(tmp_path / "CelebAMask-HQ.zip")
    assert download.celebamask_hq(tmp_path) == tmp_path / "CelebAMask-HQ.zip"
    assert "non-commercial" in capsys.readouterr().out
    write_zip(tmp_path / "CelebAMask-HQ.zip", faces=3)
    with pytest.raises(DataError, match="3 images, not 4"):
        download.celebamask_hq(tmp_path)


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
        assert named in said and "\n" not in said
