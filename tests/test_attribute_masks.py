"""Masks moved by attributes: with toy generators whose changes are known, and one with random weights."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgan_lib import checkpoints
from maskgan_lib.attribute_masks import AttributeMasks, unmerge
from maskgan_lib.classes import CLASS_ID, FLIPPED_ID, MERGED_CLASSES, MERGED_ID, NUM_CLASSES, SIDED_PAIRS
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.stargan import StarGANGenerator

SIZE = 16
MERGED = {name: number for number, name in enumerate(MERGED_CLASSES)}
KEPT = [CLASS_ID[name] for name in ("hat", "neck_l", "cloth")]


class Curtain(SeCGANGenerator):
    """Draws hair over so many rows from the top as ``Bangs`` says, 8 at most; and never sees a nose."""

    def __init__(self):
        super().__init__(("Smiling", "Bangs"), "seg", width=4, blocks=1)
        self.seen = None

    def forward(self, x, difference):
        self.seen = x
        hair = (8 * difference[:, 1:] - torch.arange(SIZE)).clamp(0, 1)[:, None, :, None]
        made = x * (1 - hair)
        made[:, MERGED["hair"]] += hair[:, 0]
        made[:, MERGED["skin"]] += made[:, MERGED["nose"]]
        made[:, MERGED["nose"]] = 0
        return made


@pytest.fixture(scope="module")
def curtain():
    return AttributeMasks(Curtain(), SIZE)


@pytest.fixture(scope="module")
def wild():
    """A generator with random weights that are large enough to change masks a lot."""
    torch.manual_seed(0)
    network = SeCGANGenerator(("Smiling", "Bangs"), "seg", width=8, blocks=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    return AttributeMasks(network, SIZE)


def face(size=SIZE):
    """Skin with a nose, two eyes, a hat on top and clothes below, in sixteenths of a side."""
    mask = np.full((16, 16), CLASS_ID["skin"], np.uint8)
    mask[0] = CLASS_ID["background"]
    mask[1, 6:10], mask[14:] = CLASS_ID["hat"], CLASS_ID["cloth"]
    mask[6:8, 3:5], mask[6:8, 11:13], mask[9:11, 7:9] = CLASS_ID["r_eye"], CLASS_ID["l_eye"], CLASS_ID["nose"]
    return mask.repeat(size // 16, 0).repeat(size // 16, 1)


def random_mask(seed, side=12):
    """Squares of 3 pixels of some of the 19 classes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(NUM_CLASSES, rng.integers(2, NUM_CLASSES), replace=False)
    return rng.choice(labels, (side // 3, side // 3)).astype(np.uint8).repeat(3, 0).repeat(3, 1)


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE, 4 * SIZE])
def test_a_move_takes_over_what_the_network_changes_and_nothing_else(size, curtain):
    mask = face(size)
    for amount in (-1.0, 0.25, 0.5, 1.0):
        moved = curtain.move(mask, {"Bangs": amount})
        drawn = np.zeros_like(mask, bool)
        drawn[: int(max(amount, 0) * 8) * size // SIZE] = True
        expected = np.where(drawn & ~np.isin(mask, KEPT), CLASS_ID["hair"], mask)
        assert moved.dtype == np.uint8 and np.array_equal(moved, expected)  # with the nose, which it never sees


def test_the_network_sees_the_share_that_each_class_has_of_a_pixel_s_area(curtain):
    mask = np.roll(random_mask(3, side=48), (1, 2), (0, 1))
    curtain.move(mask, {"Bangs": 1.0})
    seen = curtain.network.seen
    assert torch.equal(seen[0], seen[1]) and seen.shape == (2, len(MERGED_CLASSES), SIZE, SIZE)
    for y, x in np.ndindex(SIZE, SIZE):
        shares = np.bincount(MERGED_ID[mask[3 * y : 3 * y + 3, 3 * x : 3 * x + 3]].ravel(), minlength=12) / 9
        assert np.allclose(seen[0, :, y, x], shares)


def test_outlines_are_finer_than_the_network_s_pixels_and_smaller_masks_are_moved_too(curtain):
    moved = curtain.move(face(4 * SIZE), {"Bangs": 4.5 / 8})
    assert (moved == CLASS_ID["hair"])[:, 0].sum() == 4.5 * 4
    small = face()[::2, ::2]
    assert (curtain.move(small, {"Bangs": 1.0})[:4] == CLASS_ID["hair"])[small[:4] != CLASS_ID["hat"]].all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), amounts=st.fixed_dictionaries({}, optional={"Smiling": st.floats(-1, 1)}))
def test_whatever_the_network_says_the_rules_hold(seed, amounts, wild):
    mask = random_mask(seed)
    before = mask.copy()
    moved = wild.move(mask, amounts)
    assert moved.dtype == np.uint8 and moved.shape == mask.shape and moved.max() < NUM_CLASSES
    assert np.array_equal(mask, before) and not np.shares_memory(moved, mask)
    if not any(amounts.values()):
        assert np.array_equal(moved, mask)
    kept = np.isin(mask, KEPT)
    assert np.array_equal(moved[kept], mask[kept]) and not np.isin(moved[~kept], KEPT[:2]).any()
    same = MERGED_ID[moved] == MERGED_ID[mask]
    assert np.array_equal(moved[same], mask[same])  # left stays left, and upper stays upper


def test_random_weights_change_masks_so_that_the_rules_are_tested(wild):
    masks = [random_mask(seed) for seed in range(10)]
    assert np.mean([(wild.move(mask, {"Smiling": 1.0}) != mask).mean() for mask in masks]) > 0.05


# ---- from 12 classes back to 19


def middle_column(mask):
    columns = np.nonzero(np.isin(mask, [1, 2, 3, 4, 5, 6, 7, 10, 11, 12]))[1]
    return columns.mean() if len(columns) else (mask.shape[1] - 1) / 2


def allowed_labels(mask, merged):
    """By pixel, the set of labels that the rules allow: by looking at all pixels for each."""
    mouth_rows = np.nonzero(np.isin(merged, [MERGED["mouth"], MERGED["lips"]]))[0]
    for y, x in np.ndindex(mask.shape):
        if MERGED_ID[mask[y, x]] == merged[y, x] or mask[y, x] in KEPT:
            yield (y, x), {int(mask[y, x])}
            continue
        name = list(MERGED_CLASSES)[merged[y, x]]
        members = (0, 18) if name == "others" else MERGED_CLASSES[name]
        distances = {}
        for place in np.argwhere(np.isin(mask, members)):
            label = int(mask[tuple(place)])
            distances[label] = min(distances.get(label, 1e9), ((place - (y, x)) ** 2).sum())
        if distances:
            yield (y, x), {label for label, distance in distances.items() if distance == min(distances.values())}
        elif name in ("eyebrows", "eyes", "ears"):
            left, right = members
            yield (y, x), {left if x > middle_column(mask) else right}
        elif name == "lips":
            yield (y, x), {CLASS_ID["u_lip"] if y < mouth_rows.mean() else CLASS_ID["l_lip"]}
        else:
            yield (y, x), {members[0]}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_new_pixels_get_labels_as_a_naive_loop_gives_them(seed):
    mask, merged = random_mask(seed), MERGED_ID[random_mask(seed + 1)]
    moved = unmerge(mask, merged)
    mirrored = FLIPPED_ID[unmerge(FLIPPED_ID[mask][:, ::-1], merged[:, ::-1])][:, ::-1]
    for place, allowed in allowed_labels(mask, merged):
        assert int(moved[place]) in allowed
        # What is equally near, or on the middle column, has no mirror image.
        if len(allowed) == 1 and place[1] != pytest.approx(middle_column(mask)):
            assert mirrored[place] == moved[place]
    assert np.array_equal(unmerge(mask, MERGED_ID[mask]), mask)


def test_eyes_brows_and_ears_that_were_not_there_are_told_apart_by_the_side_of_the_face():
    mask = np.full((12, 24), CLASS_ID["background"], np.uint8)
    # Glasses, skin and a nose, whose middle column is between 15 and 16; the picture's is between 11 and 12.
    mask[2:10, 10:22], mask[2:10, 10], mask[2:10, 19:22] = CLASS_ID["skin"], CLASS_ID["eye_g"], CLASS_ID["nose"]
    for left, right in SIDED_PAIRS:
        merged = MERGED_ID[mask].copy()
        merged[5, 12:20] = MERGED_ID[left]
        assert unmerge(mask, merged)[5, 12:20].tolist() == [right] * 4 + [left] * 4


def test_hair_that_goes_shows_background_or_clothes_and_never_a_hat_or_a_necklace():
    mask = np.full((16, 16), CLASS_ID["hair"], np.uint8)
    mask[:2], mask[2], mask[12], mask[14:] = 0, CLASS_ID["hat"], CLASS_ID["neck_l"], CLASS_ID["cloth"]
    moved = unmerge(mask, np.full_like(mask, MERGED["others"]))
    assert set(moved[3:7].ravel()) == {0} and set(moved[8:12].ravel()) == {CLASS_ID["cloth"]}
    assert set(moved[13]) == {CLASS_ID["cloth"]} and np.array_equal(moved[[2, 12]], mask[[2, 12]])


# ---- what can be asked, and of whom


@pytest.mark.parametrize(
    ("mask", "amounts", "named"),
    [
        (face(), {"Male": 1.0, "Bangs": 0.5, "Young": 0.0}, "Male, Young.*Smiling, Bangs"),
        *((face(), {"Bangs": amount}, f"Bangs: {amount}") for amount in (1.5, -2, float("nan"))),
        *((wrong, {"Bangs": 1.0}, "mask") for wrong in (face()[:, 1:], face()[None], np.full((4, 4), 255, np.uint8))),
    ],
)
def test_what_cannot_be_done_is_said(curtain, mask, amounts, named):
    with pytest.raises(ValueError, match=named):
        curtain.move(mask, amounts)


def test_a_generator_of_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="changes pictures"):
        AttributeMasks(SeCGANGenerator(width=4, blocks=1), SIZE)
    with pytest.raises(ValueError, match="12 classes"):
        AttributeMasks(SeCGANGenerator(branch="seg", num_classes=19, width=4, blocks=1), SIZE)
    for network, card, match in (
        (SeCGANGenerator(width=4, blocks=1), {"image_size": 64}, "changes pictures"),
        (SeCGANGenerator(branch="seg", width=4, blocks=1), {}, "at which size"),
        (StarGANGenerator(width=4, blocks=1), {"image_size": 64}, "holds a StarGANGenerator"),
    ):
        checkpoints.save_weights(tmp_path / "w.safetensors", network, card)
        with pytest.raises(checkpoints.CheckpointError, match=match):
            AttributeMasks.load(tmp_path / "w.safetensors")


def test_weights_are_loaded_with_the_size_that_their_card_names(tmp_path, wild):
    checkpoints.save_weights(tmp_path / "g_seg.safetensors", wild.network, {"image_size": SIZE})
    loaded = AttributeMasks.load(tmp_path / "g_seg.safetensors")
    assert loaded.size == SIZE and loaded.attributes == ("Smiling", "Bangs")
    mask = random_mask(1)
    assert np.array_equal(loaded.move(mask, {"Bangs": 0.7}), wild.move(mask, {"Bangs": 0.7}))


def test_the_network_given_is_left_alone():
    network = Curtain().train()
    edits = AttributeMasks(network, SIZE)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    edits.move(face(), {"Bangs": 1.0})
    assert network.seen is None and not edits.network.training


def test_threads_do_not_disturb_each_other(wild):
    amounts = [{"Smiling": amount} for amount in np.linspace(-1, 1, 16)]
    mask = random_mask(5, side=48)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda asked: wild.move(mask, asked), amounts))
    for asked, moved in zip(amounts, together, strict=True):
        assert np.array_equal(moved, wild.move(mask, asked))
