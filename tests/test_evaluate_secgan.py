"""SeCGAN's table: TARR against brute force, intervals and verdicts in closed form, what is kept, and the command."""

import csv
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import CheckpointError, read_card, save_weights
from maskgan_lib.data.batches import Batches, to_float_image
from maskgan_lib.data.packed import DataError, FaceRecord, PackedWriter
from maskgan_lib.evaluation import secgan
from maskgan_lib.evaluation.distances import frechet_distance, inception_score
from maskgan_lib.evaluation.estimates import Estimate, bootstrap_interval, jackknife
from maskgan_lib.evaluation.secgan import (
    Run,
    SeCGANGrader,
    edit_all,
    evaluate_secgan,
    grade_run,
    graded_table,
    unedited,
    with_mask,
)
from maskgan_lib.evaluation.secgan_table import MEAN, UNEDITED, VARIANTS, Arm, GradedRun, SeCGANTable
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.selfsupervised import SelfSupervisedNet
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("Smiling", "Male")
BASELINE, CONCAT, SECGAN = (Arm("stargan", variant) for variant in VARIANTS)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Twenty flat pictures: the first channel is bright where a face smiles, the second in men, with exceptions."""
    rng = np.random.default_rng(0)
    with PackedWriter(tmp_path_factory.mktemp("flat") / "faces", 8, 20, "flat", NAMES) as writer:
        for i in range(20):
            known = rng.random(2) < 0.5
            level = np.where(known, 0.3, -0.3) + rng.normal(0, 0.25, 2)
            image = np.full((8, 8, 3), 127.5)
            image[..., :2] += 127.5 * level.clip(-0.9, 0.9)
            image += rng.normal(0, 4, image.shape)
            attributes = dict(zip(NAMES, (2 * known - 1).tolist(), strict=True))
            record = FaceRecord(str(i), "test" if i % 4 else "train", attributes=attributes)
            writer.write(i, image.clip(0, 255).astype(np.uint8), np.zeros((8, 8), np.uint8), record)
        return writer.finish()


class Painter(nn.Module):
    """Adds half of the difference to the channel of each attribute, and 0.1 to all."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.config = {"attributes": list(NAMES), "concatenate": False}

    def forward(self, image: Tensor, difference: Tensor) -> Tensor:
        made = image + 0.1
        made[:, :2] += self.gain * difference[..., None, None]
        return made


class Classifier:
    """Sees an attribute where its channel is bright; knows them in another order, and one more."""

    attribute_names = ("Young", "Male", "Smiling")
    fingerprint = "by hand"
    origins: ClassVar = {"attributes": "made by hand"}

    def attributes(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(2, 3))
        return torch.stack([means[:, 2], means[:, 1], means[:, 0]], dim=1)


class Features(nn.Module):
    channels = 3

    def features(self, images: Tensor) -> Tensor:
        return torch.cat([images.mean(dim=(2, 3))[:, :2], images.std(dim=(1, 2, 3))[:, None]], dim=1)


class Scores(nn.Module):
    """Inception that sees three classes, a channel each."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        assert images.dtype == torch.uint8
        return None, self.weight * images.float().mean(dim=(2, 3))


def feature_judge() -> SimpleNamespace:
    return SimpleNamespace(network=Features(), origin="made by hand", ask=lambda images, question: question(images))


def grader(faces, features=None, **changed) -> SeCGANGrader:
    return SeCGANGrader(faces, faces.indices("test"), Classifier(), features, **changed)


# ---- grading


def test_tarr_is_brute_force(faces, monkeypatch):
    monkeypatch.setattr(secgan, "BATCH", 4)
    found = edit_all(Painter(), 8, grader(faces, feature_judge(), inception=Scores()))
    expected, pictures, photos = np.zeros((2, 15), bool), [], []
    for k, index in enumerate(faces.indices("test")):
        photo = to_float_image(faces.images[[index]])
        photos.append(photo)
        for a, name in enumerate(NAMES):
            had = faces.attribute(name)[index] > 0
            made = photo + 0.1
            made[:, a] += -0.5 if had else 0.5
            pictures.append(made)
            expected[a, k] = (made[0, a].mean() > 0) != had
    assert np.array_equal(found["reached"].T, expected) and 0.3 < expected.mean() < 1
    assert found["kept"] == pytest.approx(np.full(15, 10 * np.log10(4 / 0.1**2)), abs=1e-3)
    assert found["features"].reshape(30, 3) == pytest.approx(Features().features(torch.cat(pictures)).numpy())
    assert found["photos"] == pytest.approx(Features().features(torch.cat(photos)).numpy())
    levels = ((torch.cat(pictures) + 1) * 127.5).clamp(0, 255).round().byte()
    assert found["logits"].reshape(30, 3) == pytest.approx(Scores()(levels)[1].detach().numpy(), abs=1e-4)


def test_a_face_leaves_the_jackknife_with_all_of_its_edits(faces, tmp_path):
    run, judges = g_rgb(tmp_path), grader(faces, feature_judge(), inception=Scores())
    found, measured = edit_all(run.load(), 8, judges), grade_run(run, judges)
    features, photos = found["features"], found["photos"]
    by_hand = jackknife(lambda places: frechet_distance(features[places].reshape(-1, 3), photos), 15)
    assert measured.distance == by_hand and measured.kept.value == pytest.approx(found["kept"].mean())
    assert measured.inception == inception_score(found["logits"].reshape(-1, 3)) > 1


def test_photos_show_the_other_label_where_the_classifier_is_wrong(faces):
    found = unedited(grader(faces), NAMES, 8)
    for a, name in enumerate(NAMES):
        for k, index in enumerate(faces.indices("test")):
            seen = faces.images[index][..., a].astype(float).mean() > 127.5
            assert found[a, k] == (seen != (faces.attribute(name)[index] > 0))
    assert 0 < found.mean() < 0.5


def test_concat_sees_the_soft_mask_of_a_photo_as_in_training(tmp_path):
    toys = pack_toy_faces(tmp_path / "toy", 4)
    torch.manual_seed(0)
    parser = FaceParser(12, width=4).eval()
    stage = make_stage("secgan", PRESETS["smoke"].replace({"secgan.variant": "concat"}), toys, parser=parser)
    network, image = stage.networks["g_rgb"].eval(), Batches(toys, np.arange(4), 4).at(0).image
    difference = torch.ones(4, 1)
    with torch.no_grad():
        ours = network(with_mask(network, image, parser), difference)
        torch.testing.assert_close(ours, stage.edit(network, image, stage.parse(image), difference))
    with pytest.raises(TrainingError, match="needs a parser of 12 classes, not 19"):
        with_mask(network, image, FaceParser(19, width=4))


# ---- intervals and verdicts


def graded(arm: Arm, seed: int, reached: np.ndarray, distance: Estimate | None = None) -> GradedRun:
    return GradedRun(arm, seed, np.asarray(reached, bool), Estimate(20.0, 19.0, 21.0, 4), distance, None, {})


def shares(*counts: int, faces: int = 20) -> np.ndarray:
    """Of each attribute so many of the faces."""
    return np.array([np.arange(faces) < count for count in counts])


def table(*runs: GradedRun) -> SeCGANTable:
    return SeCGANTable(NAMES, shares(1, 0), runs, {"Faces": "made up"}, 3)


def test_the_interval_over_seeds_is_students():
    reached = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
    runs = [graded(SECGAN, k, [row, row]) for k, row in enumerate(reached)]
    found, one = (SeCGANTable(NAMES, reached[:2], tuple(some), {}).tarr(SECGAN) for some in (runs, runs[:1]))
    reach = 4.302653 * 25 / 3**0.5  # t of 2 degrees of freedom, the deviation of 50, 25 and 75
    assert found.seeds == Estimate(50, 0, 100, 3), "no share is outside"
    difference = SeCGANTable(
        NAMES, reached[:2], (*runs, *(graded(BASELINE, k, shares(0, 0, faces=4)) for k in range(3))), {}
    )
    ((_, found),) = difference.differences().items()
    assert (found.seeds.low, found.seeds.high) == pytest.approx((50 - reach, 50 + reach), rel=1e-4)
    assert (found.faces.low, found.faces.high) == pytest.approx(bootstrap_interval([100, 200 / 3, 100 / 3, 0]))
    assert one.seeds.value == one.faces.value == 50 and one.seeds.count == 1 and str(one.over_seeds) == "one seed"


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((11, 12, 13), "yes"),
        ((5, 6, 7), "no, it lowers it"),
        ((12, 9, 6), "not told apart"),
        ((13, 12, 4), "not told apart"),
        ((15,), "not told apart: one training says nothing"),
    ],
)
def test_the_verdict_is_by_the_seeds(ours, expected):
    """Against nine of twenty: the differences over seeds are +2, +3, +4 faces and so on."""
    runs = [graded(BASELINE, k, shares(9, 9)) for k in range(3)]
    runs += [graded(SECGAN, k, shares(count, count)) for k, count in enumerate(ours)]
    ((pair, found),) = table(*runs).differences().items()
    assert pair == (SECGAN, BASELINE) and found.seeds.count == len(ours)
    by_seed = 5 * (np.array(ours) - 9)  # per cent of twenty faces
    assert found.seeds.value == pytest.approx(by_seed.mean()) and found.raised == expected
    (sentence,) = table(*runs).sentences()
    assert f"**{expected}**" in sentence and "StarGAN, SeCGAN against baseline" in sentence
    assert f"{by_seed.mean():+.1f} percentage points" in sentence
    marked = 3 if expected in ("yes", "no, it lowers it") else 0  # two attributes and their mean
    assert table(*runs).markdown().count(" ● |") == marked


def test_only_seeds_that_both_have_are_compared():
    runs = [graded(BASELINE, 0, shares(0, 0)), graded(BASELINE, 1, shares(4, 4))]
    runs += [graded(SECGAN, 1, shares(6, 6)), graded(SECGAN, 2, shares(20, 20))]
    found = table(*runs).differences()[SECGAN, BASELINE]
    assert (found.seeds.value, found.seeds.count) == (pytest.approx(10), 1)
    assert table(runs[0], runs[3]).differences() == {}


def test_attributes_are_told_apart():
    found = table(*(graded(SECGAN, k, shares(4 + k, 16)) for k in range(2)), graded(BASELINE, 0, shares(4, 10)))
    assert found.tarr(SECGAN, "Smiling").faces.value == pytest.approx(22.5)
    assert found.tarr(SECGAN, "Male").faces.value == pytest.approx(80)
    assert found.tarr(SECGAN).faces.value == pytest.approx(51.25)
    assert (found.tarr(UNEDITED, "Smiling").faces.value, found.tarr(UNEDITED).faces.value) == (5, 2.5)
    assert found.differences("Male")[SECGAN, BASELINE].faces.value == pytest.approx(30)
    rows = found.by_attribute("stargan")
    assert list(rows) == [MEAN, *NAMES] and list(rows["Male"]) == ["baseline", "SeCGAN"]
    assert rows["Male"]["SeCGAN"] == pytest.approx((80, 80, 80)), "two trainings that agree: no width over them"
    seeds = found.tarr(SECGAN, "Smiling").seeds
    assert rows["Smiling"]["SeCGAN"] == pytest.approx((22.5, 0, seeds.high)), "a share is not below 0"


def test_the_tables_say_what_they_are_made_of():
    arms = (BASELINE, CONCAT, SECGAN, Arm("stargan", "secgan", "0.1"), Arm("attgan", "baseline"))
    runs = [graded(arm, k, shares(8 + k, 10), Estimate(3.0 + k, 2.0, 4.0 + k, 20)) for arm in arms for k in range(2)]
    found = table(*runs[::-1])
    assert found.arms == arms and found.backbones == ("stargan", "attgan")
    text, few = found.markdown(), replace(found, features=21).markdown()
    assert text.count("| 3.5 [2, 4.5] |") == len(arms), "means over seeds"
    assert "SeCGAN, λ_sc = 0.1" in text and "*photos, unedited*" in text and "Faces: made up" in text
    assert "fewer photos than features" in few and "fewer photos than features" not in text
    assert len(found.differences()) == 4, "each SeCGAN against both"
    assert len(found.sentences()) == 2 and not any("λ" in sentence for sentence in found.sentences())
    assert "| StarGAN SeCGAN, λ_sc = 0.1 minus concat | 2 |" in text
    rows = list(csv.DictReader(found.csv().splitlines()))
    (row,) = (r for r in rows if (r["table"], r["row"], r["column"]) == ("TARR %, AttGAN", "Male", "baseline"))
    assert float(row["value"]) == 50 and row["count"] == "20" and row["shown"].startswith("50.0 [")


# ---- what is kept


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 999))
def test_a_table_comes_back_bit_for_bit(tmp_path_factory, count, seed):
    flags = np.random.default_rng(seed).random((3, 2, count)) < 0.5
    runs = [graded(arm, 0, own, Estimate(1.5, np.nan, np.nan, 4)) for arm, own in zip((BASELINE, SECGAN), flags[1:])]
    kept, path = SeCGANTable(NAMES, flags[0], tuple(runs), {"Faces": "made up"}, 3), tmp_path_factory.mktemp("t") / "t"
    kept.save(path)
    again = SeCGANTable.load(path)
    assert all(np.array_equal(a.reached, b.reached) for a, b in zip(again.runs, runs, strict=True))
    assert np.array_equal(again.unedited, flags[0]) and again.markdown() == kept.markdown()


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "table.json"
    with pytest.raises(CheckpointError, match=r"table\.json holds no table of SeCGAN"):
        SeCGANTable.load(path)
    table(graded(BASELINE, 0, shares(1, 2))).save(path)
    for damage in ("", "{}", path.read_text().replace('"faces": 20', '"faces": 40')):
        path.write_text(damage)
        with pytest.raises(CheckpointError, match="holds no table of SeCGAN"):
            SeCGANTable.load(path)


def g_rgb(folder, arm=SECGAN, seed=0, attributes=NAMES, size=8, **changed) -> Run:
    """A run's folder with random weights in it."""
    torch.manual_seed(seed)
    network = SeCGANGenerator(
        attributes, changed.pop("branch", "rgb"), arm.backbone, concatenate=arm.variant == "concat", width=2, blocks=1
    )
    own = {"backbone": arm.backbone, "variant": arm.variant, "consistency_weight": float(arm.weight or 1)}
    preset = {"name": "made up", "ema_decay": changed.pop("ema_decay", 0.999), "secgan": {**own, **changed}}
    card = {"steps": 1, "faces": 1, "data": "flat", "image_size": size, "seed": seed, "seconds": 1, "hardware": "a CPU"}
    run = Run(arm, seed, folder / str(arm) / f"seed-{seed}")
    save_weights(run.weights, network, {**card, "preset": preset})
    return run


def test_what_is_graded_is_not_graded_again(faces, tmp_path, monkeypatch):
    run, judges, asked = g_rgb(tmp_path), grader(faces), []
    forward = SeCGANGenerator.forward
    monkeypatch.setattr(SeCGANGenerator, "forward", lambda *given: asked.append(1) or forward(*given))

    def works(by=judges, of=run) -> bool:
        before = len(asked)
        grade_run(of, by)
        return len(asked) > before

    first = grade_run(run, judges)
    g_rgb(tmp_path, seed=0, name="another")  # the same weights: the card is no reason
    again = grade_run(run, judges)
    assert not works() and np.array_equal(first.reached, again.reached) and first.kept == again.kept
    assert first.distance is first.inception is None
    assert works(replace(judges, indices=judges.indices[:9])) and works(replace(judges, features=feature_judge()))
    assert works(replace(judges, judges=type("Other", (Classifier,), {"fingerprint": "another"})()))
    g_rgb(tmp_path / "other", seed=1).weights.replace(run.weights)
    assert works()
    concat, parsers = g_rgb(tmp_path, CONCAT, size=16), [FaceParser(12, width=2).eval() for _ in range(2)]
    assert all(works(replace(judges, parser=parser), concat) for parser in parsers), "the mask that it sees is another"


# ---- runs in folders


def test_a_folder_is_named_after_its_arm():
    arms = [BASELINE, SECGAN, Arm("stargan", "secgan", "0.1"), Arm("stargan", "secgan", "10")]
    arms += [Arm("attgan", "concat"), Arm("attgan", "secgan", "1e-3")]
    assert [Arm.parse(str(arm)) for arm in arms] == arms == sorted(arms[::-1], key=lambda arm: arm.order)
    for name in ("judges", "stargan", "stargan-other", "stargan-baseline-0.1", "parser-secgan", "stargan-secgan-.."):
        with pytest.raises(ValueError, match="there is no arm"):
            Arm.parse(name)


def test_what_cannot_be_compared_is_refused(faces, tmp_path):
    judges, run = grader(faces), g_rgb(tmp_path)
    with pytest.raises(TrainingError, match="have other attributes"):
        graded_table([run, g_rgb(tmp_path, BASELINE, attributes=("Male",))], judges)
    with pytest.raises(TrainingError, match="have other sizes"):
        graded_table([run, g_rgb(tmp_path, BASELINE, size=4)], judges)
    with pytest.raises(TrainingError, match="takes the mask of a face"):
        graded_table([g_rgb(tmp_path, CONCAT)], judges)
    with pytest.raises(DataError, match="does not know Smiling"):
        graded_table([run], replace(judges, judges=type("Other", (Classifier,), {"attribute_names": ("Male",)})()))
    with pytest.raises(CheckpointError, match="holds stargan-baseline, not stargan-secgan"):
        grade_run(g_rgb(tmp_path, variant="baseline"), judges)
    with pytest.raises(CheckpointError, match="learnt with lambda_sc = 2"):
        grade_run(g_rgb(tmp_path, Arm("stargan", "secgan", "0.1"), consistency_weight=2.0), judges)
    with pytest.raises(CheckpointError, match="holds no G_rgb"):
        grade_run(g_rgb(tmp_path, branch="seg"), judges)


def test_runs_that_differ_in_more_than_the_variant_are_named(faces, tmp_path):
    runs = [g_rgb(tmp_path, BASELINE), g_rgb(tmp_path, SECGAN), g_rgb(tmp_path, Arm("stargan", "secgan", "3"))]
    assert graded_table(runs, grader(faces)).about["Trainings"] == "1 steps on 1 flat"
    g_rgb(tmp_path, SECGAN, lr=1e-3, ema_decay=0.9)
    assert "some differ in ema_decay, lr:" in graded_table(runs, grader(faces)).about["Trainings"]


# ---- the command


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Untrained judges, a net of features, and P."""
    folder, card = tmp_path_factory.mktemp("nets"), {"image_size": 32}
    torch.manual_seed(0)
    save_weights(folder / "parser.safetensors", FaceParser(19, width=2), card)
    save_weights(folder / "attributes.safetensors", AttributeNet(["Smiling"], width=2), card)
    save_weights(folder / "features.safetensors", SelfSupervisedNet(2, 3), card)
    save_weights(folder / "p.safetensors", FaceParser(12, width=4), card)
    return folder


def test_the_command_trains_what_is_missing_and_no_more(tmp_path, nets, monkeypatch, capsys):
    toys = pack_toy_faces(tmp_path / "toy", 24, splits=("train", "train", "test", "test"))
    out, trained, train = tmp_path / "out", [], secgan.train_stage
    monkeypatch.setattr(secgan, "train_stage", lambda *given, **k: trained.append(given[3]) or train(*given, **k))
    command = f"evaluate secgan --data {toys.folder} --out {out} --preset smoke --steps 1 --seeds 2 --count 11"
    command += f" --judges {nets} --features {nets}/features.safetensors --parser {nets}/p.safetensors --precision no"
    command += f" --backbones stargan --consistency 1,0.1 --publish {tmp_path}/published.json"
    assert main(command.split()) == 0
    names = ("stargan-baseline", "stargan-concat", "stargan-secgan")
    of_names = [out / name / f"seed-{seed}" for name in names for seed in (0, 1)]
    assert trained == [*of_names, out / "stargan-secgan-0.1" / "seed-0"], "1 is the preset's own weight"
    cards = [read_card(folder / "g_rgb.safetensors")["preset"]["secgan"] for folder in trained[4::2]]
    assert [card["consistency_weight"] for card in cards] == [1.0, 0.1]
    printed = capsys.readouterr().out
    assert "Does semantic consistency raise TARR here? StarGAN, SeCGAN against concat" in printed
    assert "SeCGAN, λ_sc = 0.1" in printed and "Inception Score: missing" in printed
    files = {name: (out / name).read_bytes() for name in ("table.md", "table.csv", "table.json")}
    assert len(SeCGANTable.load(out / "table.json").runs) == 7
    assert (tmp_path / "published.json").read_bytes() == files["table.json"]

    (out / "stargan-concat" / "seed-1" / "g_rgb.safetensors").unlink()
    (out / "table.csv").unlink()
    trained.clear()
    assert main(command.split()) == 0
    assert trained == [out / "stargan-concat" / "seed-1"], "it goes on from its last checkpoint"
    assert (out / "table.csv").read_bytes() == files["table.csv"]


def test_p_is_trained_only_where_a_run_needs_it(tmp_path, nets):
    toys = pack_toy_faces(tmp_path / "toy", 12, splits=("train", "train", "test", "test"))
    preset = PRESETS["smoke"].replace({"parser.steps": 1})
    settings = {"steps": 1, "judges": nets, "features": nets / "features.safetensors", "seeds": 1}
    settings["backbones"] = ["stargan"]
    evaluate_secgan(preset, toys, tmp_path / "out", variants=["baseline"], **settings)
    assert not (tmp_path / "out" / "secgan-parser").exists()
    found = evaluate_secgan(preset, toys, tmp_path / "out", variants=["baseline", "concat"], **settings)
    assert (tmp_path / "out" / "secgan-parser" / "parser.safetensors").exists()
    assert [str(arm) for arm in found.arms] == ["stargan-baseline", "stargan-concat"]
    assert found.markdown().count("Fewer than 10 faces") == 1


def test_bad_wishes_are_explained(tmp_path, nets):
    toys = pack_toy_faces(tmp_path / "toy", 4)
    with pytest.raises(DataError, match="0 faces to test on"):
        evaluate_secgan(PRESETS["smoke"], toys, tmp_path / "out")
    toys = pack_toy_faces(tmp_path / "two", 8, splits=("train", "train", "test", "test"))
    for weights in (["x"], [""], ["-1"], ["nan"]):
        with pytest.raises(TrainingError, match=r"a number such as 0\.1"):
            evaluate_secgan(PRESETS["smoke"], toys, tmp_path / "out", consistency=weights)
    with pytest.raises(TrainingError, match="Name variants of baseline, concat, secgan"):
        evaluate_secgan(PRESETS["smoke"], toys, tmp_path / "out", variants=["consistent"])
    assert not (tmp_path / "out").exists()
