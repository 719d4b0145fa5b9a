"""The experiment on EBST: measures, intervals and verdicts against cases whose answers are known, and the command."""

import csv

import numpy as np
import pytest
import torch
from stub_judges import GREYS, Judges, within
from torch import nn
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import load_state, read_card
from maskgan_lib.evaluation import ebst
from maskgan_lib.evaluation.appearance import colour_distance, region_colours, srgb_to_lab
from maskgan_lib.evaluation.ebst import EBST_MEASURES, EDITS, Comparison, compare_on_edits, edits_of_face, walk
from maskgan_lib.evaluation.grades import BAND, MARGIN
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.ebst import EBSTStage

SEEDS = (0, 1, 2)
PLACES = np.arange(12)


class Painter(nn.Module):
    """A DMN that paints every class in a grey of its own, whatever the photo.

    ``drift`` times the share of hair is added everywhere; a ``deaf`` one paints the face's own mask whatever is asked.
    """

    def __init__(self, drift: float = 0.0, deaf: bool = False):
        super().__init__()
        self.greys, self.drift, self.deaf = nn.Parameter(GREYS), drift, deaf

    def encode_style(self, image, mask):
        self.own = mask
        return image.mean(dim=(2, 3))

    def render(self, mask, style):
        shown = self.own.expand_as(mask) if self.deaf else mask
        grey = torch.einsum("bkhw,k->bhw", shown, self.greys)
        grey = grey + self.drift * mask[:, 13].mean(dim=(1, 2))[:, None, None]
        return grey[:, None].expand(-1, 3, -1, -1)


class LinearVAE(nn.Module):
    """A MaskVAE whose code is the mask itself; ``more_skin`` lets skin win where it is in doubt."""

    def __init__(self, more_skin: float = 0.95):
        super().__init__()
        self.bias = nn.Parameter(more_skin * (torch.arange(19) == 1).float()[:, None, None])

    def encode(self, onehot):
        return onehot.flatten(1), None

    def decode(self, z):
        return z.reshape(-1, 19, 32, 32) + self.bias


class Judge(Judges):
    """Says yes to every attribute, and looks at three features."""

    attribute_names = ("Male", "Smiling")

    def attributes(self, images):
        return torch.ones(len(images), 2)

    def features(self, images):
        return 1 + images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("faces") / "toy", 12)


@pytest.fixture(scope="module")
def edits(faces):
    """Own masks ``[F, S, S]``, edited ones ``[E, K, F, S, S]`` and whether each applies ``[E, K, F]``."""
    drawn = [edits_of_face(faces, PLACES, place, LinearVAE(), SEEDS) for place in PLACES]
    return np.array(faces.masks), np.stack([m for m, _ in drawn], axis=2), np.stack([a for _, a in drawn], axis=2)


@pytest.fixture(scope="module")
def compared(faces):
    networks = {"drifting": Painter(drift=0.1), "deaf": Painter(deaf=True), "twin": Painter(), "honest": Painter()}
    return compare_on_edits([networks], faces, PLACES, LinearVAE(), Judge(), SEEDS, batch=4)


def values(comparison: Comparison, network: str, measure: str) -> np.ndarray:
    """``[E, K, F]``"""
    records = comparison.records
    return records.values[0, records.methods.index(network), [m.name for m in records.measures].index(measure)]


# ---- measures


def test_edits_are_those_of_the_registry_and_repeat(faces, edits):
    own, edited, applies = edits
    again, _ = edits_of_face(faces, PLACES, 5, LinearVAE(), SEEDS)
    assert np.array_equal(again, edited[:, :, 5])
    assert edited.max() < 19 and applies[:4].mean() > 0.9 and 0.2 < applies[4].mean() < 0.8
    assert np.array_equal((edited != own).any(axis=(-1, -2)), applies)
    assert len(edited) == len(EDITS) == 5


def test_walk_takes_the_share_of_the_way(faces):
    own, other = np.array(faces.masks[0]), np.array(faces.masks[1])
    stay, near, far, away = walk(LinearVAE(0), own, other, [0.0, 0.4, 0.6, -0.4])
    assert np.array_equal(stay, own) and np.array_equal(near, own) and np.array_equal(away, own)
    assert np.array_equal(far, other)


def test_a_perfect_painter_agrees_wholly_and_stays_put(compared, edits):
    applies = edits[2]
    for name in ("segmentation agreement", "segmentation agreement around the edit", "mean IoU"):
        assert (values(compared, "honest", name)[applies] == 100).all()
        assert np.isnan(values(compared, "honest", name)[~applies]).all()
    assert np.nanmax(values(compared, "honest", "change far from the edit")) == 0


def test_a_network_that_ignores_the_mask_is_wrong_where_it_was_edited(compared, edits):
    own, edited, applies = edits
    changed = edited != own
    agreement = values(compared, "deaf", "segmentation agreement")
    assert agreement[applies] == pytest.approx(100 * (1 - changed.mean(axis=(-1, -2)))[applies])
    band = values(compared, "deaf", "segmentation agreement around the edit")
    e, k, f = np.argwhere(applies)[7]
    near = within(changed[e, k, f], round(BAND * 32))
    assert band[e, k, f] == pytest.approx(100 * (1 - changed[e, k, f].sum() / near.sum()))
    assert (band[applies] < agreement[applies]).all()
    assert np.nanmax(values(compared, "deaf", "change far from the edit")) == 0


def test_what_is_far_from_an_edit_by_hand(faces, compared, edits):
    own, edited, applies = edits
    drift, quality = (values(compared, "drifting", name) for name in (EBST_MEASURES[6].name, EBST_MEASURES[7].name))
    images = np.array(faces.images) / 127.5 - 1
    seen = 0
    for e, k, f in np.argwhere(applies)[::7]:
        far = ~within(edited[e, k, f] != own[f], round(MARGIN * 32))
        hair = (edited[e, k, f] == 13).mean()
        if not far.any():
            assert np.isnan(drift[e, k, f])
            continue
        seen += 1
        assert drift[e, k, f] == pytest.approx(0.1 * abs(hair - (own[f] == 13).mean()) * 127.5, abs=1e-4)
        made = GREYS.numpy()[edited[e, k, f]][..., None] + 0.1 * hair
        error = ((made - images[f]) ** 2).mean(axis=-1)[far].mean()
        assert quality[e, k, f] == pytest.approx(10 * np.log10(4 / error), abs=1e-3)
    assert seen > 10


def test_attributes_are_held_against_the_label_of_the_photo(faces, monkeypatch):
    networks = [{"a": Painter(), "b": Painter()}]
    without = compare_on_edits(networks, faces, PLACES[:3], LinearVAE(), Judge(), [0])
    assert np.isnan(values(without, "a", "style attributes kept")).all(), "these faces only know whether they smile"
    monkeypatch.setattr(ebst, "STYLE_ATTRIBUTES", ("Male", "Smiling"))
    compared = compare_on_edits(networks, faces, PLACES, LinearVAE(), Judge(), [0])
    smiling = faces.attribute("Smiling") > 0
    kept = compared.records.of_items("a", EBST_MEASURES[3])[0]
    assert np.array_equal(kept, np.where(smiling, 100, 0))
    assert np.array_equal(compared.photos[3], kept)


def test_photos_are_judged_with_their_own_masks(faces, compared):
    grey = np.array(faces.images).mean(axis=-1) / 127.5 - 1
    parsed = np.abs(grey[..., None] - GREYS.numpy()).argmin(axis=-1)
    assert compared.photos[0] == pytest.approx(100 * (parsed == faces.masks).mean(axis=(1, 2)))
    assert np.isnan(compared.photos[[1, 4, 5, 6, 7]]).all()


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    image = torch.tensor(rgb).reshape(1, 3, 1, 1) / 127.5 - 1
    assert srgb_to_lab(image).flatten().tolist() == pytest.approx(lab, abs=0.05)


def test_colour_distance_is_the_mean_over_shared_classes():
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[:, 16:] = 1
    others = labels.clone()
    others[:, :2] = 2  # a class that the other picture has not
    white, black = torch.ones(1, 3, 32, 32), -torch.ones(1, 3, 32, 32)
    half = torch.where(labels[:, None] == 1, black, white)
    assert colour_distance(white, others, white, labels).item() == pytest.approx(0, abs=1e-3)
    assert colour_distance(half, others, white, labels).item() == pytest.approx(50, abs=0.01)
    assert colour_distance(white, torch.full_like(labels, 5), white, labels).isnan().item()
    colours, area = region_colours(half, labels)
    assert colours[0, :2, 0].tolist() == pytest.approx([100, 0], abs=1e-3) and colours[0, 2:].isnan().all()
    assert area[0, :3].tolist() == [0.5, 0.5, 0]


# ---- tables


def test_identical_networks_show_no_difference(compared):
    for edit in ("all edits", *EDITS):
        for measure in EBST_MEASURES:
            found, said = compared.difference("twin", measure, edit)
            if measure.name == "style attributes kept":
                assert found.count == 0 and said == "too few faces"
            else:
                assert (found.value, found.low, found.high) == (0, 0, 0)
                assert said == ("no difference seen" if found.count >= 10 else "too few faces")
    worse = {measure.name: compared.difference("deaf", measure) for measure in EBST_MEASURES}
    assert worse["segmentation agreement around the edit"][1] == "better"
    assert worse["change far from the edit"][1] == "no difference seen"


def test_tables_hold_every_network_and_measure(compared):
    rows = list(csv.DictReader(compared.csv().splitlines()))
    means = [row for row in rows if row["table"].startswith("mean")]
    assert {row["column"] for row in means} == {"photos", *compared.records.methods}
    verdicts = [row for row in rows if row["column"] == "verdict"]
    assert len(verdicts) == 3 * len(EBST_MEASURES) and "better" in {row["shown"] for row in verdicts}
    shown = compared.markdown()
    assert all(measure.title in shown for measure in EBST_MEASURES) and "honest minus twin" in shown
    assert "training seeds" not in shown + compared.csv()


def test_a_killed_comparison_goes_on_with_what_it_has(faces, tmp_path, monkeypatch):
    arguments = faces, PLACES[:3], LinearVAE(), Judge(), [0]
    whole = compare_on_edits([{"a": Painter(), "b": Painter(0.1)}], *arguments, cache=tmp_path)
    monkeypatch.setattr(Painter, "render", None)
    again = compare_on_edits([{"a": Painter(), "b": Painter(0.1)}], *arguments, cache=tmp_path)
    assert again.csv() == whole.csv() and again.markdown() == whole.markdown()


# ---- the command


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    pack_toy_faces(folder / "faces", 12, splits=("train", "train", "test"))
    command = ["evaluate", "ebst-ablation", "--preset", "smoke", "--data", str(folder / "faces"), "--seeds", "2"]
    assert main([*command, "--out", str(folder / "out")]) == 0
    return folder, command


def test_both_arms_start_alike_and_get_as_many_updates(experiment):
    out = experiment[0] / "out"
    for seed in (0, 1):
        states = {arm: load_state(out / f"seed-{seed}" / arm / "checkpoint.pt") for arm in ("longer", "ebst")}
        agreed = {arm: state["agreed"] for arm, state in states.items()}
        assert states["longer"]["step"] == 2 * states["ebst"]["step"] == 2 * PRESETS["smoke"].ebst.steps
        for key in ("lr", "batch_size", "seed", "decay_from", "perceptual_weight", "feature_weight"):
            assert agreed["longer"][key] == agreed["ebst"][key]
        assert agreed["longer"]["ema_decay"] ** 2 == pytest.approx(agreed["ebst"]["ema_decay"])
        updates = [sum_of_updates(state, "discriminator") for state in states.values()]
        assert updates[0] == updates[1] == 2 * PRESETS["smoke"].ebst.steps
        assert sum_of_updates(states["longer"], "dmn") == 2 * sum_of_updates(states["ebst"], "dmn")
        cards = [read_card(out / f"seed-{seed}" / arm / "dmn.safetensors") for arm in states]
        assert [card["started_from"] for card in cards] == ["dmn", "dmn"]


def sum_of_updates(state: dict, optimizer: str) -> int:
    return int(next(iter(state["optimizers"][optimizer]["state"].values()))["step"])


def test_command_writes_its_tables_and_goes_on_without_training_again(experiment, monkeypatch, capsys):
    folder, command = experiment
    first = [(folder / "out" / name).read_text() for name in ("table.md", "table.csv")]
    assert "MaskGAN† minus DMN, trained longer" in first[0] and "over 2 training seeds" in first[0]
    monkeypatch.setattr(EBSTStage, "step", lambda *_: pytest.fail("trained again"))
    assert main([*command, "--out", str(folder / "out")]) == 0
    assert [(folder / "out" / name).read_text() for name in ("table.md", "table.csv")] == first
    assert first[0] in capsys.readouterr().out
    assert main([*command, "--out", str(folder / "out"), "--dmn", str(folder / "out" / "seed-0" / "longer")]) == 1
    assert "another DMN" in capsys.readouterr().err


def test_command_compares_given_weights(experiment, capsys):
    folder, command = experiment
    out, given, judges = (folder / name for name in ("out", "given", "judges"))
    judges.mkdir()
    for kind in ("parser", "attributes"):
        (judges / f"{kind}.safetensors").write_bytes((out / kind / f"{kind}.safetensors").read_bytes())
    arms = [f"before={out}/dmn/dmn.safetensors", f"after={out}/seed-0/ebst/dmn.safetensors"]
    shared = [*command, "--out", str(given), "--maskvae", f"{out}/maskvae/maskvae.safetensors", "--judges", str(judges)]
    assert main([*shared, "--networks", *arms]) == 0
    assert "after minus before" in (given / "table.md").read_text()
    assert {path.name for path in given.iterdir()} == {"table.md", "table.csv", "graded"}
    capsys.readouterr()
    assert main([*shared, "--networks", arms[0]]) == 1
    assert "NAME=FILE" in capsys.readouterr().err
