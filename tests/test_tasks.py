"""The tasks on faces whose right answers are known: a judge reads mask, attributes and person off their colours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_judges import GREYS, within

from maskgan_lib.classes import GROUPS, IGNORE_ID
from maskgan_lib.data import celebamask
from maskgan_lib.data.packed import DataError, FaceRecord, PackedFaces
from maskgan_lib.evaluation.grades import TASK_MEASURES, grade
from maskgan_lib.evaluation.methods import (
    COPY_OF_THE_SOURCE,
    COPY_OF_THE_TARGET,
    STYLE_COPY,
    TASKS,
    TRANSFER,
)
from maskgan_lib.evaluation.tasks import (
    COPIED,
    TRANSFERRED,
    PairList,
    attribute_pairs,
    faces_mark,
    held_out,
    reconstruction_pairs,
    requests,
    style_pairs,
)

SIZE = 32
SKIN, MOUTH, UPPER, LOWER = 1, 10, 11, 12


def draw_mask(smiling: bool, shift: tuple[int, int] = (0, 0), mouth: bool = True) -> np.ndarray:
    """A face with lips, which are open and wide if it smiles; ``shift`` moves the mouth by rows and columns."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[2:6, 4:28] = 13
    mask[6:30, 5:27] = SKIN
    mask[12:14, 9:12], mask[12:14, 20:23] = 5, 4
    if mouth:
        row, column, half = 22 + shift[0], 16 + shift[1], 5 if smiling else 3
        mask[row - 1, column - half : column + half] = UPPER
        mask[row, column - half : column + half] = MOUTH if smiling else LOWER
        mask[row + 1, column - half : column + half] = LOWER
    return mask


def paint(mask: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
    """Pictures ``[B, 3, S, S]``: red tells the class, green (``looks[:, 0]``) the style, blue the person."""
    red = GREYS[mask.clamp(max=18).long()]
    return torch.stack([red, *(level[:, None, None].expand_as(red) for level in looks.T)], dim=1)


def style_level(copied: tuple[bool, ...]) -> float:
    return (16 + 32 * sum(bit << k for k, bit in enumerate(copied))) / 127.5 - 1


class Judge:
    """Reads off a picture what ``paint`` put there."""

    attribute_names = (*COPIED, "Smiling")
    identity_net = "there is one"

    def parse(self, images):
        return (images[:, :1] - GREYS[:, None, None]).abs().argmin(dim=1).byte()

    def attributes(self, images):
        bits = ((images[:, 1].mean(dim=(1, 2)) + 1) * 127.5 / 32).floor().long()
        copied = [(bits >> k) & 1 for k in range(3)]
        return torch.stack([*copied, (self.parse(images) == MOUTH).any(dim=2).any(dim=1)], dim=1).float() - 0.5

    def identity(self, images):
        angle = images[:, 2].mean(dim=(1, 2)) * 3
        return torch.stack([angle.cos(), angle.sin()], dim=1)


class NoIdentity(Judge):
    attribute_names = ("Smiling",)
    identity_net = None

    def identity(self, images):
        raise AssertionError("there is no net to ask")


def faces_of(
    records: list[FaceRecord], masks: np.ndarray, names: tuple[str, ...] = (*COPIED, "Smiling")
) -> PackedFaces:
    """A packed folder in memory, painted from its masks and records."""
    copied = [tuple(record.attributes.get(name, -1) > 0 for name in COPIED) for record in records]
    looks = torch.tensor([(style_level(bits), k / len(records) - 0.5) for k, bits in enumerate(copied)])
    images = (paint(torch.as_tensor(masks), looks) + 1).mul(127.5).round().byte().movedim(1, -1).numpy()
    return PackedFaces(Path("memory"), images, masks, records, names, SIZE, "test", {})


def some_faces(count: int = 24, seed: int = 0) -> PackedFaces:
    """Every second face smiles; poses spread over some degrees."""
    rng = np.random.default_rng(seed)
    masks = np.stack([draw_mask(k % 2 == 1, tuple(rng.integers(-2, 3, 2))) for k in range(count)])
    records = []
    for k in range(count):
        values = {name: int(rng.choice([-1, 1])) for name in COPIED} | {"Smiling": 1 if k % 2 else -1}
        records.append(FaceRecord(str(k), "test", k, values, tuple(rng.normal(0, 3, 3).tolist())))
    return faces_of(records, masks)


FACES = some_faces()
ALL = np.arange(len(FACES))


def asked(pairs: PairList, faces: PackedFaces = FACES, **options):
    """All pairs as one request."""
    return next(requests(pairs, faces, batch=len(pairs), **options))


def graded(pairs: PairList, make, judges=None, faces: PackedFaces = FACES) -> dict[str, np.ndarray]:
    request = asked(pairs, faces)
    values = grade(request, make(request), judges or Judge())
    assert list(values) == [measure.name for measure in TASK_MEASURES[pairs.task]]
    assert all(v.shape == (len(pairs),) and v.dtype == torch.float64 for v in values.values())
    return {name: value.numpy() for name, value in values.items()}


def perfect(request):
    """Paints the edited mask in the style that is asked for."""
    return paint(request.edited, request.style[0][:, 1:, 0, 0])


def constant(request):
    return torch.zeros_like(request.target)


# ---- faces and pairs


def test_faces_to_test_on_are_there_or_asked_for():
    unseen = faces_of([replace(r, split="train") for r in FACES.records], FACES.masks)
    assert held_out(FACES).tolist() == list(range(24)) and held_out(FACES, 5, fewest=2).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="memory has 0 faces to test on: at least one is needed"):
        held_out(unseen)
    with pytest.raises(DataError, match="has 1 faces to test on: at least 2 are needed"):
        held_out(FACES, 1, fewest=2)


FACE = st.tuples(st.booleans(), st.booleans(), st.tuples(*[st.integers(-6, 6)] * 3))


@given(st.lists(FACE, min_size=2, max_size=14), st.integers(1, 8), st.integers(0, 8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_attribute_pairs_keep_their_rules(drawn, count, tolerance, seed):
    masks = np.stack([draw_mask(smiling, mouth=mouth) for smiling, mouth, _ in drawn])
    records = [
        FaceRecord(str(k), "test", k, dict.fromkeys(COPIED, 1) | {"Smiling": 1 if smiling else -1}, pose)
        for k, (smiling, _, pose) in enumerate(drawn)
    ]
    faces, indices = faces_of(records, masks), np.arange(len(drawn))[::-1]
    sources = [k for k, (smiling, mouth, _) in enumerate(drawn) if smiling and mouth]
    targets = [k for k, (smiling, mouth, _) in enumerate(drawn) if not smiling and mouth]

    def apart(a, b):
        return max(abs(x - y) for x, y in zip(drawn[a][2], drawn[b][2]))

    possible = {t: [s for s in sources if apart(t, s) <= tolerance] for t in targets}
    possible = {t: near for t, near in possible.items() if near}
    if not possible:
        with pytest.raises(DataError, match="There is no pair for Smiling"):
            attribute_pairs(faces, indices, count=count, tolerance=tolerance, seed=seed)
        return
    pairs = attribute_pairs(faces, indices, count=count, tolerance=tolerance, seed=seed)
    assert len(pairs) == min(count, len(possible)) == pairs.rule["found"] and pairs.rule["asked for"] == count
    assert len(set(pairs.targets.tolist())) == len(pairs)
    assert all(s in possible[t] for t, s in zip(pairs.targets, pairs.sources, strict=True))
    uses = {s: int((pairs.sources == s).sum()) for s in sources}
    for s in set(pairs.sources.tolist()):  # its last target could not have had one that was used less
        its_targets = pairs.targets[pairs.sources == s]
        assert any(all(uses[other] >= uses[s] - 1 for other in possible[t]) for t in its_targets)
    again = attribute_pairs(faces, np.sort(indices), count=count, tolerance=tolerance, seed=seed)
    assert again.fingerprint == pairs.fingerprint


def test_the_nearest_pose_among_the_unused_is_taken():
    poses = [(0, 0, 0), (0.5, 0, 0), (1, 0, 3), (1, 1.5, 1), (9, 9, 9)]
    smiling = [False, False, True, True, True]
    masks = np.stack([draw_mask(s) for s in smiling])
    records = [
        FaceRecord(str(k), "test", None, {"Smiling": 1 if s else -1}, p) for k, (s, p) in enumerate(zip(smiling, poses))
    ]
    faces = faces_of(records, masks, ("Smiling",))
    one = attribute_pairs(faces, np.array([0, 2, 3, 4]), tolerance=5)
    assert (one.targets.tolist(), one.sources.tolist()) == ([0], [3])
    for seed in range(4):
        both = attribute_pairs(faces, np.arange(5), tolerance=5, seed=seed)
        assert both.targets.tolist() == [0, 1] and sorted(both.sources.tolist()) == [2, 3]
        shared = attribute_pairs(faces, np.arange(5), tolerance=2.5, seed=seed)
        assert shared.sources.tolist() == [3, 3], "used twice where nothing else is near"
    with pytest.raises(DataError, match=r"2 could get it, but not in poses within 5 degrees: allow more, or take"):
        attribute_pairs(faces, np.array([0, 1, 4]))


def test_glasses_need_not_be_on_the_target():
    masks = np.stack([draw_mask(False)] * 3)
    masks[2, 11:15, 8:24] = 3
    masks[2, 12:14, 9:12] = 5  # the eyes are seen through them
    records = [FaceRecord(str(k), "test", None, {"Eyeglasses": 1 if k else -1}, (0.0, 0.0, 0.0)) for k in range(3)]
    faces = faces_of(records, masks, ("Eyeglasses",))
    pairs = attribute_pairs(faces, np.arange(3), "Eyeglasses")
    assert (pairs.targets.tolist(), pairs.sources.tolist()) == ([0], [2]), "the mask of face 1 has none"
    edited = asked(pairs, faces).edited[0].numpy()
    assert np.array_equal(edited == 3, masks[2] == 3)
    assert np.array_equal(edited[edited != 3], masks[0][edited != 3])


def test_what_no_pairs_can_be_made_for_is_refused():
    with pytest.raises(ValueError, match="'Male' is not shown by parts of a mask: choose one of Smiling, Mouth"):
        attribute_pairs(FACES, ALL, "Male")
    with pytest.raises(DataError, match="no attribute 'Eyeglasses'"):
        attribute_pairs(FACES, ALL, "Eyeglasses")
    with pytest.raises(DataError, match=r"among 0 faces, of which 0 show it and 0 could get it: take more faces\.$"):
        attribute_pairs(FACES, ALL[:0])
    unposed = faces_of([replace(r, pose=None) if int(r.id) < 3 else r for r in FACES.records], FACES.masks)
    with pytest.raises(DataError, match="3 of the 24 faces have no known pose"):
        attribute_pairs(unposed, ALL)
    assert len(attribute_pairs(unposed, ALL[3:]))
    with pytest.raises(DataError, match="at least two faces, not 1"):
        style_pairs(FACES, ALL[:1])
    with pytest.raises(DataError, match="no face to reconstruct"):
        reconstruction_pairs(FACES, ALL[:0])
    for choose in (attribute_pairs, style_pairs, reconstruction_pairs):
        with pytest.raises(ValueError, match="At least one pair"):
            choose(FACES, ALL, count=0)


@given(st.sets(st.integers(0, 23), min_size=2), st.integers(2, 30), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_style_pairs_are_the_same_faces_in_another_order(indices, count, seed):
    pairs = style_pairs(FACES, np.array(sorted(indices)), count, seed)
    assert len(pairs) == min(count, len(indices)) and set(pairs.targets.tolist()) <= indices
    assert sorted(pairs.targets.tolist()) == sorted(pairs.sources.tolist()) == sorted(set(pairs.targets.tolist()))
    assert (pairs.targets != pairs.sources).all()
    male = FACES.attribute("Male")
    assert pairs.rule["share of another gender"] == np.mean(male[pairs.targets] != male[pairs.sources])
    assert style_pairs(FACES, np.array(sorted(indices)), count, seed).fingerprint == pairs.fingerprint
    same = reconstruction_pairs(FACES, np.array(sorted(indices)), count, seed)
    assert np.array_equal(same.targets, same.sources) and set(same.targets.tolist()) == set(pairs.targets.tolist())


def test_gender_is_unknown_where_nobody_noted_it():
    faces = faces_of([replace(r, attributes={}) for r in FACES.records], FACES.masks, ())
    pairs = style_pairs(faces, ALL)
    assert pairs.rule["share of another gender"] is None
    assert asked(pairs, faces).known == {}
    values = graded(pairs, perfect, faces=faces)
    assert all(np.isnan(values[name]).all() for name in COPIED) and (values["segmentation accuracy"] == 100).all()


LISTS = [attribute_pairs(FACES, ALL), style_pairs(FACES, ALL), reconstruction_pairs(FACES, ALL, 5)]


def test_lists_of_other_faces_are_refused():
    others = [
        some_faces(24, seed=1),
        faces_of(FACES.records[:-1], FACES.masks[:-1]),
        faces_of([replace(FACES.records[0], split="val"), *FACES.records[1:]], FACES.masks),
    ]
    for other in others:
        assert faces_mark(other) != faces_mark(FACES)
        with pytest.raises(DataError, match="made for other faces than those in memory"):
            next(requests(LISTS[0], other))
    assert faces_mark(some_faces()) == faces_mark(FACES), "the same faces, opened again"
    changed = [replace(LISTS[0], sources=LISTS[0].sources[::-1]), replace(LISTS[0], attribute="Big_Lips")]
    assert len({pairs.fingerprint for pairs in (LISTS[0], *changed)}) == 3


# ---- requests


@pytest.mark.parametrize("pairs", LISTS, ids=TASKS)
def test_requests_come_in_order(pairs):
    parts = list(requests(pairs, FACES, batch=4))
    assert [len(part.target) for part in parts] == [4] * (len(pairs) // 4) + [len(pairs) % 4] * (len(pairs) % 4 > 0)
    for name, places in (("target", pairs.targets), ("source", pairs.sources)):
        images = torch.cat([getattr(part, name) for part in parts])
        masks = torch.cat([getattr(part, f"{name}_mask") for part in parts])
        assert masks.dtype == torch.uint8 and np.array_equal(masks, FACES.masks[places])
        assert np.array_equal(((images + 1) * 127.5).round().movedim(1, -1), FACES.images[places])
    assert {(part.task, part.attribute) for part in parts} == {(pairs.task, pairs.attribute)}
    if pairs.task != TRANSFER:
        assert all(torch.equal(part.edited, part.target_mask) for part in parts)
    told = {"known": (COPIED, STYLE_COPY, pairs.sources), "labels": (FACES.attribute_names, TRANSFER, pairs.targets)}
    for field, (names, task, places) in told.items():
        assert all(tuple(getattr(part, field)) == (names if pairs.task == task else ()) for part in parts)
        for name in names if pairs.task == task else ():
            has = torch.cat([getattr(part, field)[name] for part in parts])
            assert has.dtype == torch.bool and np.array_equal(has, FACES.attribute(name)[places] > 0)


def test_the_mouth_of_the_source_replaces_that_of_the_target():
    pairs = LISTS[0]
    request = asked(pairs)
    stuck_out = 0
    for edited, target, source in zip(request.edited.numpy(), request.target_mask.numpy(), request.source_mask.numpy()):
        old, new = (np.isin(mask, GROUPS["mouth"]) for mask in (target, source))
        expected = np.where(new, source, np.where(old, SKIN, target))
        assert np.array_equal(edited, expected)
        stuck_out += (old & ~new).any()
    assert stuck_out > 0, "not tested otherwise"
    assert set(TRANSFERRED) >= {"Smiling", "Mouth_Slightly_Open", "Eyeglasses"}


# ---- grades


def test_a_perfect_transfer():
    values = graded(LISTS[0], perfect)
    for name in ("attribute accuracy", "segmentation accuracy", "segmentation accuracy around the edit"):
        assert (values[name] == 100).all()
    assert values["identity similarity"] == pytest.approx(np.ones(len(LISTS[0])), abs=1e-5)
    assert values["change far from the edit"] == pytest.approx(np.zeros(len(LISTS[0])), abs=0.51)  # pictures are bytes


def test_a_copy_of_the_target_transfers_nothing():
    values = graded(LISTS[0], COPY_OF_THE_TARGET.make)
    assert (values["attribute accuracy"] == 0).all()
    request = asked(LISTS[0])
    wrong = (request.edited != request.target_mask).float().mean(dim=(1, 2))
    assert values["segmentation accuracy"] == pytest.approx(100 * (1 - wrong))
    assert (values["segmentation accuracy around the edit"] < values["segmentation accuracy"] - 5).all()
    assert values["identity similarity"] == pytest.approx(np.ones(len(wrong)), abs=1e-5)
    assert (values["change far from the edit"] == 0).all()


def test_a_copy_of_the_source_has_the_attribute_and_is_somebody_else():
    values = graded(LISTS[0], COPY_OF_THE_SOURCE.make)
    assert (values["attribute accuracy"] == 100).all()
    angle = 3 * np.abs(LISTS[0].targets - LISTS[0].sources) / 24
    assert values["identity similarity"] == pytest.approx(np.cos(angle), abs=0.02)
    assert values["change far from the edit"].mean() > 5


def test_near_and_far_from_the_edit_by_brute_force():
    ramp = torch.linspace(0, 0.01, SIZE * SIZE).reshape(SIZE, SIZE)  # no two pixels change alike
    values = graded(LISTS[0], lambda request: request.target + ramp)
    request = asked(LISTS[0])
    for k, edit in enumerate((request.edited != request.target_mask).numpy()):
        far = ~within(edit, 3)  # a tenth of the height
        assert values["change far from the edit"][k] == pytest.approx(ramp.numpy()[far].mean() * 127.5, rel=1e-4)
        near = within(edit, 1)  # three hundredths
        assert values["segmentation accuracy around the edit"][k] == pytest.approx(100 * (1 - edit.sum() / near.sum()))


def test_a_copy_of_the_source_keeps_its_style_but_not_the_layout():
    pairs = LISTS[1]
    values = graded(pairs, COPY_OF_THE_SOURCE.make)
    assert all((values[name] == 100).all() for name in COPIED)
    request = asked(pairs)
    wrong = (request.source_mask != request.target_mask).float().mean(dim=(1, 2)).numpy()
    assert values["segmentation accuracy"] == pytest.approx(100 * (1 - wrong)) and (wrong > 0).any()
    done = graded(pairs, perfect)
    assert all((done[name] == 100).all() for name in (*COPIED, "segmentation accuracy"))
    assert done["colour distance to the source"] == pytest.approx(np.zeros(len(pairs)), abs=1)
    assert done["colour distance to the source"].mean() < values["colour distance to the source"].mean() + 1


def test_a_copy_of_the_target_keeps_the_layout_but_not_the_style():
    pairs = LISTS[1]
    values = graded(pairs, COPY_OF_THE_TARGET.make)
    assert (values["segmentation accuracy"] == 100).all()
    for name in COPIED:
        has = FACES.attribute(name)
        assert np.array_equal(values[name], np.where(has[pairs.targets] == has[pairs.sources], 100, 0))
    assert values["colour distance to the source"].mean() > 5


def test_what_nobody_can_tell_is_nan():
    judge = NoIdentity()
    transfer, style, same = (graded(pairs, COPY_OF_THE_TARGET.make, judge) for pairs in LISTS)
    assert np.isnan(transfer["identity similarity"]).all() and np.isnan(same["identity similarity"]).all()
    assert np.isfinite(transfer["attribute accuracy"]).all() and all(np.isnan(style[name]).all() for name in COPIED)
    judge.attribute_names = ("Young",)
    assert np.isnan(graded(LISTS[0], COPY_OF_THE_TARGET.make, judge)["attribute accuracy"]).all()
    request = asked(LISTS[0])
    unedited = grade(replace(request, edited=request.target_mask), request.target, Judge())
    assert unedited["segmentation accuracy around the edit"].isnan().all()
    assert (unedited["segmentation accuracy"] == 100).all() and (unedited["change far from the edit"] == 0).all()


def test_unknown_pixels_are_left_out():
    request = asked(LISTS[2])
    edited = request.edited.clone()
    edited[:, :16] = IGNORE_ID
    made = request.target.clone()
    made[:, :, :16] = 0.9
    assert (grade(replace(request, edited=edited), made, Judge())["segmentation accuracy"] == 100).all()
    transfer = asked(LISTS[0])
    unknown = transfer.edited.clone()
    unknown[:, :, :16] = IGNORE_ID  # through the mouth
    values = grade(replace(transfer, edited=unknown), perfect(transfer), Judge())
    assert (values["segmentation accuracy around the edit"] == 100).all()
    edited[:] = IGNORE_ID
    assert grade(replace(request, edited=edited), made, Judge())["segmentation accuracy"].isnan().all()


# ---- photographs


def test_four_photographs(real_faces, tmp_path):
    faces = celebamask.prepare(real_faces, tmp_path / "packed", 64, workers=1, progress=False)
    everybody = np.arange(len(faces))
    style, same = style_pairs(faces, everybody), reconstruction_pairs(faces, everybody)
    assert len(style) == len(same) == 4 and style.rule["asked for"] == 1000
    assert sum(len(part.target) for part in requests(style, faces)) == 4
    smiling = faces.attribute("Smiling") > 0
    if smiling.all() or not smiling.any():
        with pytest.raises(DataError, match=f"4 faces, of which {smiling.sum()} show it and {(~smiling).sum()} could"):
            attribute_pairs(faces, everybody, tolerance=180)
        return
    pairs = attribute_pairs(faces, everybody, tolerance=180)
    assert len(pairs) == (~smiling).sum() and pairs.rule["asked for"] == 400
    assert (asked(pairs, faces).edited != asked(pairs, faces).target_mask).any()
    with pytest.raises(DataError, match="among 4 faces"):
        attribute_pairs(faces, everybody, tolerance=0)
