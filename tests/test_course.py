"""Starting a chapter, and running the course: on tiny data, with everything written to a temporary folder."""

import base64
import io
import json
import os

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import save_weights
from maskgan_lib.classes import COLORS
from maskgan_lib.course import CHAPTERS, CourseError, chapter, publishing, runner, start
from maskgan_lib.course.measured import Measurement, describe_seconds, expected_time, measured, write_json
from maskgan_lib.networks import DenseMappingNetwork


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    for name in ("MASKGAN_DATA", "MASKGAN_WRITE_BACK", "MASKGAN_PRETRAINED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASKGAN_PRESET", "smoke")
    monkeypatch.setenv("MASKGAN_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # so that it is put back after a chapter was started
    return tmp_path / "build"


@pytest.fixture
def four_faces(tmp_path, monkeypatch):
    """``MASKGAN_DATA`` = a packed folder of four faces: two to train on, one each to validate and test."""
    monkeypatch.setenv("MASKGAN_DATA", str(tmp_path / "four"))
    return pack_toy_faces(tmp_path / "four", 4, splits=("train", "train", "val", "test"))


def test_start_seeds_and_says_what_the_chapter_runs_with(capsys):
    course = start("01")
    first, shown = torch.rand(3), capsys.readouterr().out
    for part in ("01", course.chapter.title, "smoke", "64 x 64", torch.__version__, "procedural"):
        assert part in shown
    start("01")
    assert torch.equal(torch.rand(3), first) and course.is_embedded


@pytest.mark.parametrize(
    ("variable", "value", "number", "named"),
    [
        ("MASKGAN_PRESET", "huge", "00", "laptop"),
        ("MASKGAN_DATA", "nowhere/at/all", "00", "nowhere/at/all"),
        ("MASKGAN_PRESET", "smoke", "99", "00"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(variable, value, number, named, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(CourseError, match=named):
        start(number)


def test_relative_paths_begin_at_the_project_whatever_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(chapter, "ROOT", tmp_path)
    monkeypatch.setenv("MASKGAN_BUILD", "elsewhere")
    (tmp_path / "set").mkdir()
    monkeypatch.setenv("MASKGAN_DATA", "set")
    monkeypatch.chdir("/")
    assert chapter.data_path() == (tmp_path / "set").resolve()
    assert chapter.build_folder() == tmp_path / "elsewhere"
    assert chapter.from_project(f"{tmp_path}/a is missing, {tmp_path}/b too") == "a is missing, b too"


def test_embedded_faces_are_drawn_once_for_each_size_and_count(capsys):
    course = start("01")
    packed = course.faces(count=6)
    assert len(packed) == 6 and packed.size == 64 and "Preparing" in capsys.readouterr().out
    np.testing.assert_array_equal(packed.images, course.faces(count=6).images)
    assert "Preparing" not in capsys.readouterr().out
    assert len(course.faces(32, count=3)) == 3


def test_a_packed_folder_has_one_size_and_procedural_faces_are_there_beside_it(four_faces):
    course = start("04")
    drawn = course.procedural_faces(48, 3)
    assert not course.is_embedded and len(drawn) == 3 and drawn.size == 48 and "procedural" in drawn.source
    with pytest.raises(CourseError, match=r"32.*48"):
        course.faces(48)


def test_splits_are_kept_apart_but_tiny_ones_are_used_whole_and_that_is_said_once(four_faces, tmp_path, capsys):
    course, forty = start("02"), pack_toy_faces(tmp_path / "forty", 40, splits=("train", "train", "train", "test"))
    capsys.readouterr()
    np.testing.assert_array_equal(course.train_faces(forty), forty.indices("train"))
    np.testing.assert_array_equal(course.show_faces(forty, 5), forty.indices("test")[:5])
    assert capsys.readouterr().out == "" and course.preset.image_size == 32
    for count in (8, 2):
        np.testing.assert_array_equal(course.train_faces(four_faces), range(4))
        np.testing.assert_array_equal(course.show_faces(four_faces, count), range(min(count, 4)))
    shown = capsys.readouterr().out
    assert shown.count("Too few faces in train (2)") == shown.count("Too few faces in test (1)") == 1


def test_runs_on_other_data_or_presets_have_folders_of_their_own(four_faces, monkeypatch):
    folders = {start("03").run_folder("dmn")}
    monkeypatch.setenv("MASKGAN_PRESET", "laptop")
    folders.add(start("03").run_folder("dmn"))
    monkeypatch.delenv("MASKGAN_DATA")
    folders.add(start("03").run_folder("dmn"))
    assert len(folders) == 3 and all(folder.name == "dmn" for folder in folders)


def test_a_finished_run_is_not_taken_for_one_of_other_steps():
    course = start("03")
    folder = course.run_folder("ladder", 8)
    folder.mkdir(parents=True)
    save_weights(folder / "dmn.safetensors", DenseMappingNetwork(width=4, blocks=1, style_width=2), {"steps": 8})
    assert folder == course.run_folder("ladder") == course.run_folder("ladder", 8) != course.run_folder("ladder", 9)


def test_pretrained_weights_are_loaded_by_name(tmp_path, monkeypatch):
    network = DenseMappingNetwork(width=4, blocks=1, style_width=2)
    save_weights(tmp_path / "dmn.safetensors", network, {"data": "none"})
    monkeypatch.setenv("MASKGAN_PRETRAINED", str(tmp_path))
    loaded = start("00").pretrained("dmn")
    assert not loaded.training
    for ours, theirs in zip(loaded.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours.cpu(), theirs)
    with pytest.raises(CourseError, match="maskvae"):
        start("00").pretrained("maskvae")


def test_measurements_are_printed_kept_and_replaced(build, capsys):
    course = start("03")
    assert runner.measured_table(build, ["03"]) == "(nothing was measured)"
    course.record("accuracy", torch.tensor(0.5), note="first try")
    course.record("accuracy", np.float64(0.98765), "of 1", "test faces")
    course.record("faces", 64)
    assert "accuracy: 0.9877 of 1" in capsys.readouterr().out
    kept = [("03", Measurement("accuracy", 0.98765, "of 1", "test faces")), ("03", Measurement("faces", 64))]
    assert measured(build, ["01", "03"]) == kept
    table = [line.split(maxsplit=2) for line in runner.measured_table(build, ["03"]).splitlines()]
    assert table == [["03", "accuracy", "0.9877 of 1 (test faces)"], ["03", "faces", "64"]]
    start("03")
    assert measured(build, ["03"]) == [], "a new run begins with an empty table"


def test_values_and_durations_are_shown_as_people_write_them():
    values = {21.2345: "21.23", 25951.3: "25,951", 0.00012345: "0.0001234", 64: "64", "yes": "yes"}
    assert [Measurement("x", value).shown for value in values] == [*values.values()]
    seconds = {0.2: "1 s", 89: "89 s", 90: "2 min", 3600: "60 min", 9000: "2.5 h"}
    assert [*map(describe_seconds, seconds)] == [*seconds.values()]


def test_times_come_from_here_first_and_are_never_invented(build, tmp_path):
    key, notebooks = "01 smoke cpu", tmp_path / "notebooks"
    assert expected_time(key, build, notebooks).startswith("not measured")
    write_json(notebooks / "times.json", {key: {"seconds": 300, "machine": "9 CPU cores"}})
    assert "5 min" in expected_time(key, build, notebooks) and "9 CPU cores" in expected_time(key, build, notebooks)
    write_json(build / "measured" / "times.json", {key: {"seconds": 20.4, "machine": "x"}})
    assert "20 s" in expected_time(key, build, notebooks) and "here" in expected_time(key, build, notebooks)


def test_the_time_of_a_run_is_kept_under_what_it_ran_with_and_shown_in_the_table(build, tmp_path):
    start("00")
    runner.keep_time("00", 12.34, [build / "measured", tmp_path])
    for folder in (build / "measured", tmp_path):
        ((key, entry),) = json.loads((folder / "times.json").read_text()).items()
        assert key.startswith("00 smoke ") and entry["seconds"] == 12.3
    table = runner.chapter_table({"01 laptop cpu": {"seconds": 600, "machine": "2 CPU cores"}}).splitlines()
    assert len(table) == len(CHAPTERS) + 2 and "| 10 min |" in table[3] and "| not measured |" in table[3]


def test_figures_are_stored_only_when_the_notebooks_are_published(tmp_path, monkeypatch):
    monkeypatch.setattr(chapter, "ROOT", tmp_path)
    (tmp_path / "figures").mkdir()
    course = start("00")
    course.save_figure(Figure((1, 1)), "teaser")
    assert not any((tmp_path / "figures").iterdir())
    monkeypatch.setenv("MASKGAN_WRITE_BACK", "1")
    course.save_figure(Figure((1, 1)), "teaser")
    assert (tmp_path / "figures" / "teaser.png").read_bytes().startswith(b"\x89PNG")


# ---- executing notebooks


def write_notebook(path, *sources):
    cells = [nbformat.v4.new_markdown_cell("# title")] + [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture
def two_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    write_notebook(tmp_path / "notebooks" / "00_first.ipynb", "1 + 1", "noses = 3\nprint(noses / 0)", "print('never')")
    write_notebook(tmp_path / "notebooks" / "01_second.ipynb", "open('second ran', 'w').close()")
    return tmp_path / "notebooks"


def test_the_course_stops_at_the_first_error_and_shows_cell_and_message(two_notebooks, build, capfd):
    assert runner.run_course() == 1
    shown, errors = capfd.readouterr()
    assert "00_first, cell 2 of 3" in shown and "failed" in shown
    assert all(part in errors for part in ("cell 2", "    noses = 3", "ZeroDivisionError: division by zero"))
    assert len(errors.splitlines()) < 40
    copy = nbformat.read(build / "notebooks" / "00_first.ipynb", as_version=4)
    assert [c.execution_count for c in copy.cells if c.cell_type == "code"] == [1, 2, None]
    assert not (two_notebooks / "second ran").exists()


def test_a_notebook_that_runs_is_kept_executed_and_can_replace_its_source(two_notebooks, build, capsys, monkeypatch):
    monkeypatch.setattr(runner, "update_readme", lambda: None)
    source = "import os, sys\nprint(os.environ['MASKGAN_PLAIN_PROGRESS'])"
    bar = "for n in (0, 50, 100):\n    print(f'{n} %', end='\\r', file=sys.stderr)\n    print(n)\nprint('done')"
    write_notebook(two_notebooks / "01_second.ipynb", source, bar)
    before = (two_notebooks / "01_second.ipynb").read_bytes()
    assert runner.run_course(["01"]) == 0
    assert (two_notebooks / "01_second.ipynb").read_bytes() == before
    executed = nbformat.read(build / "notebooks" / "01_second.ipynb", as_version=4)
    texts = [{o.name: o.text.strip() for o in c.outputs} for c in executed.cells if c.cell_type == "code"]
    assert texts == [{"stdout": "1"}, {"stdout": "0\n50\n100\ndone", "stderr": "100 %"}]
    assert "1 notebook in" in capsys.readouterr().out
    assert runner.run_course(["01_second.ipynb"], write_back="notebooks") == 0
    published = nbformat.read(two_notebooks / "01_second.ipynb", as_version=4)
    assert [c.execution_count for c in published.cells if c.cell_type == "code"] == [1, 2]


def test_a_dead_kernel_is_reported(two_notebooks, capfd):
    write_notebook(two_notebooks / "00_first.ipynb", "import os; os._exit(1)")
    assert runner.run_course(["00"]) == 1
    assert "the kernel died in cell 1" in capfd.readouterr().err


def test_ctrl_c_ends_the_course_and_the_kernel(two_notebooks, tmp_path, capfd):
    """Pressed in a terminal it reaches the course alone: the kernel has a session of its own."""
    press = "import os, signal, time; open('pid', 'w').write(str(os.getpid())); os.kill(os.getppid(), signal.SIGINT)"
    write_notebook(two_notebooks / "00_first.ipynb", press, "time.sleep(600)")
    assert main(["course"]) == 130
    assert "kernel died" not in capfd.readouterr().err
    with pytest.raises(ProcessLookupError):
        os.kill(int((two_notebooks / "pid").read_text()), 0)


def test_notebooks_are_found_by_number_name_and_path(two_notebooks):
    first, second = runner.find_notebooks()
    for name in ("01", "01_second", "01_second.ipynb", "notebooks/01_second.ipynb"):
        assert runner.find_notebooks([name]) == [second]
    assert runner.find_notebooks(["01", "00"]) == [second, first]
    with pytest.raises(CourseError, match="00_first"):
        runner.find_notebooks(["07"])


def test_the_kernel_finds_data_named_from_the_callers_folder_and_none_is_published(four_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASKGAN_DATA", "four")
    assert runner.kernel_environment("")["MASKGAN_DATA"] == str((tmp_path / "four").resolve())
    assert runner.run_course(write_back="notebooks") == 2


# ---- making them fit to be kept


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def smaller(picture):
    return base64.b64decode(publishing.smaller_png(base64.b64encode(picture).decode()))


def test_cleaning_drops_what_does_not_render_elsewhere():
    encoded = base64.b64encode(png(np.zeros((2, 2, 3), np.uint8))).decode()
    cell = nbformat.v4.new_code_cell("slider")
    cell.outputs = [
        nbformat.v4.new_output("display_data", {publishing.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "slider"}),
        nbformat.v4.new_output("display_data", {"image/png": encoded, "image/jpeg": "the same again"}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    publishing.clean(notebook)
    assert "widgets" not in notebook.metadata
    assert [set(output.data) for output in cell.outputs] == [{"text/plain"}, {"image/png"}]


@pytest.mark.parametrize("opaque", [True, False])
def test_pictures_are_packed_tighter_without_a_pixel_changed(opaque):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 7, 4), np.uint8).repeat(40, axis=0)
    pixels[..., 3] = 255 if opaque else pixels[..., 3]
    loose = png(pixels, compress_level=0)
    again = np.asarray(Image.open(io.BytesIO(smaller(loose))))
    np.testing.assert_array_equal(again, pixels[..., :3] if opaque else pixels)
    assert len(smaller(loose)) < len(loose)


def test_heavy_pictures_keep_their_looks_and_exactly_the_colours_of_classes():
    y, x = np.mgrid[:300, :300]
    noise = np.random.default_rng(0).normal(0, 4, (300, 300, 3))
    pixels = np.clip(np.stack([x * 0.8, y * 0.8, 120 + 0 * x], axis=2) + noise, 0, 255).astype(np.uint8)
    pixels[:19, :, :] = COLORS[:, None]
    pixels[-20:] = 255
    heavy = png(pixels)
    again = np.asarray(Image.open(io.BytesIO(smaller(heavy))).convert("RGB"))
    assert len(heavy) > publishing.HEAVY_PICTURE and len(smaller(heavy)) < len(heavy) / 2
    np.testing.assert_array_equal(again[:19], pixels[:19])
    np.testing.assert_array_equal(again[-20:], pixels[-20:])
    assert np.abs(again.astype(float) - pixels).mean() < 6
