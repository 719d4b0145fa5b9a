"""Many procedural faces: plausible statistics, and evidence in the picture for every published attribute."""

import multiprocessing
import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage, stats

from maskgan_lib import faces
from maskgan_lib.classes import CLASS_ID, CLASS_NAMES, NUM_CLASSES

FLEET, FLEET_SEED, FLEET_SIZE = 160, 1234, 128
TRAIN, TEST, PROBE_SIZE = 1000, 400, 64
PEOPLE, CAPTURES, WHITENING_PEOPLE = 46, 7, 26
CLEARLY_VISIBLE = ("Wearing_Hat", "Eyeglasses", "Male", "Smiling", "No_Beard", "Heavy_Makeup")
BANDS = {  # mean share of the pixels in %, with room for the draw of a fleet
    "background": (27, 40), "skin": (21, 30), "nose": (1.4, 2.3), "eye_g": (0.1, 0.9), "l_eye": (0.18, 0.32),
    "r_eye": (0.18, 0.32), "l_brow": (0.35, 0.65), "r_brow": (0.35, 0.65), "l_ear": (0.35, 0.95), "r_ear": (0.35, 0.95),
    "mouth": (0.15, 0.45), "u_lip": (0.28, 0.55), "l_lip": (0.42, 0.8), "hair": (22, 35), "hat": (0.3, 2.2),
    "ear_r": (0.06, 0.35), "neck_l": (0.01, 0.12), "neck": (2.2, 4.5), "cloth": (2, 5),
}  # fmt: skip


def rendered(job):
    """Run in a worker: render one face and reduce it to what a test needs."""
    kind, i = job
    if kind == "fleet":
        picture = faces.render(faces.sample(FLEET_SEED, i), FLEET_SIZE)
        return picture, picture.parts()
    if kind == "probe":
        picture = faces.render(faces.sample(1, i), PROBE_SIZE)
        return features(picture.image), list(picture.attributes.values()), (*picture.pose, *picture.light)
    person, capture = divmod(i, CAPTURES)
    picture = faces.render(faces.sample(2, 100 * person + capture, identity=person), PROBE_SIZE)
    return features(picture.image), picture.face.person.hair_colour


def render_all(kind, count):
    workers = min(os.cpu_count() or 1, 4)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(rendered, [(kind, i) for i in range(count)], chunksize=10)


def features(image):
    """Gradient-orientation histograms on 8 x 8 cells, and a 16 x 16 colour thumbnail."""
    image = image.astype(np.float32) / 255
    n = image.shape[0]
    gy, gx = np.gradient(image.mean(2))
    strength, bins = np.hypot(gx, gy), ((np.arctan2(gy, gx) + np.pi) / (2 * np.pi) * 8).astype(int) % 8
    cells = [(strength * (bins == k)).reshape(8, n // 8, 8, n // 8).sum((1, 3)) for k in range(8)]
    histogram = np.sqrt(np.stack(cells) / (np.sum(cells) + 1e-6))
    thumbnail = image.reshape(16, n // 16, 16, n // 16, 3).mean((1, 3))
    return np.concatenate([3 * histogram.ravel(), thumbnail.ravel()])


def auc(score, truth):
    """Chance that a positive scores above a negative."""
    positive, negative = score[np.asarray(truth, bool)], score[~np.asarray(truth, bool)]
    return stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))


def small_islands(mask, limit=3):
    """Number of 4-connected components of at most ``limit`` pixels."""
    return (np.bincount(ndimage.label(mask)[0].ravel())[1:] <= limit).sum()


@pytest.fixture(scope="module")
def fleet():
    return render_all("fleet", FLEET)


@pytest.fixture(scope="module")
def probe():
    """Ridge regression from simple features: scores of the test faces for any target of all faces."""
    drawn = render_all("probe", TRAIN + TEST)
    x = np.array([features for features, _, _ in drawn])
    x = (x - x[:TRAIN].mean(0)) / (x[:TRAIN].std(0) + 1e-3)
    x = np.c_[x, np.ones(len(x))]
    solver = np.linalg.solve(x[:TRAIN].T @ x[:TRAIN] + 300 * np.eye(x.shape[1]), x[:TRAIN].T)

    def predict(target):
        mean = target[:TRAIN].mean()
        return x[TRAIN:] @ (solver @ (target[:TRAIN] - mean)) + mean

    attributes = np.array([values for _, values, _ in drawn], float)
    return predict, attributes, np.array([pose for _, _, pose in drawn])


def test_brightness_and_class_shares(fleet):
    brightness = np.array([picture.image.mean() for picture, _ in fleet])
    assert brightness.min() > 35 and brightness.max() < 205
    shares = np.array([np.bincount(p.labels.ravel(), minlength=NUM_CLASSES) for p, _ in fleet]) * 100 / FLEET_SIZE**2
    means = dict(zip(CLASS_NAMES, shares.mean(0), strict=True))
    outside = {name: round(means[name], 2) for name, (low, high) in BANDS.items() if not low <= means[name] <= high}
    assert not outside
    assert (shares > 0).any(0).all()


def test_every_face_is_complete_and_aligned(fleet):
    for picture, _ in fleet:
        count = np.bincount(picture.labels.ravel(), minlength=NUM_CLASSES)
        where = f"face {picture.face.index}"
        needed = ["skin", "nose", "u_lip", "l_lip", "neck"]
        if picture.face.capture.glasses != "sun":
            needed += ["l_eye", "r_eye"]
            middle = sum(np.argwhere(picture.labels == CLASS_ID[k]).mean(0) for k in ("l_eye", "r_eye")) / 2
            row, column = middle * 512 / FLEET_SIZE
            assert abs(row - 245) <= 22 and abs(column - 256) <= 26, where
        assert min(count[CLASS_ID[name]] for name in needed) >= 3, where
        for part in ("eye", "brow", "ear"):
            left, right = (np.nonzero(picture.labels == CLASS_ID[f"{side}_{part}"])[1] for side in "lr")
            if len(left) and len(right):
                assert left.mean() > right.mean(), where  # l_ is the subject's left, the viewer's right


def test_attributes_agree_with_the_visible_pixels(fleet):
    names = dict(Eyeglasses="eye_g", Wearing_Hat="hat", Wearing_Earrings="ear_r", Wearing_Necklace="neck_l")
    names["Mouth_Slightly_Open"] = "mouth"
    drawn_but_hidden = 0
    for picture, _ in fleet:
        for attribute, part in names.items():
            assert picture.attributes[attribute] == (picture.labels == CLASS_ID[part]).any()
        capture = picture.face.capture
        intended = (capture.glasses, capture.hat, capture.earring, capture.necklace)
        assert picture.attributes["Mouth_Slightly_Open"] == (capture.mouth_open > 0)
        for worn, attribute in zip(intended, names, strict=False):
            assert worn != "none" or not picture.attributes[attribute]
            drawn_but_hidden += worn != "none" and not picture.attributes[attribute]
    assert drawn_but_hidden <= 0.02 * FLEET


def test_parts_compose_to_the_label_map(fleet):
    for picture, parts in fleet:
        composed = np.zeros_like(picture.labels)
        for name, mask in parts.items():
            assert mask.any() and mask.dtype == bool
            composed[mask] = CLASS_ID[name]
        assert np.array_equal(composed, picture.labels)


def test_hair_and_skin_have_no_crumbs(fleet):
    for name in ("hair", "skin"):
        crumbs = [small_islands(picture.labels == CLASS_ID[name]) for picture, _ in fleet[::2]]
        assert np.mean(crumbs) <= 0.35


def test_every_published_attribute_is_visible(probe):
    predict, attributes, _ = probe
    for column, name in enumerate(faces.ATTRIBUTES):
        target = attributes[:, column]
        assert auc(predict(target), target[TRAIN:]) >= (0.9 if name in CLEARLY_VISIBLE else 0.7), name


def test_pose_and_light_are_visible(probe):
    predict, _, pose = probe
    required = dict(yaw=0.9, pitch=0.7, roll=0.8, azimuth=0.85, elevation=0.65)
    for column, (name, least) in enumerate(required.items()):
        truth = pose[TRAIN:, column]
        residual = truth - predict(pose[:, column])
        assert 1 - (residual**2).sum() / ((truth - truth.mean()) ** 2).sum() >= least, name


def test_people_are_recognisable_even_among_the_same_hair_colour():
    drawn = render_all("person", PEOPLE * CAPTURES)
    x = np.array([features for features, _ in drawn]).reshape(PEOPLE, CAPTURES, -1)
    known, unseen = x[:WHITENING_PEOPLE], x[WHITENING_PEOPLE:]
    within = (known - known.mean(1, keepdims=True)).reshape(-1, x.shape[2])
    scatter = within.T @ within / len(within)
    scatter += np.eye(len(scatter)) * np.trace(scatter) / len(scatter) * 0.3
    code = (unseen - known.mean((0, 1))).reshape(-1, x.shape[2]) @ np.linalg.cholesky(np.linalg.inv(scatter))
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    pairs = np.triu_indices(len(code), 1)
    who = np.repeat(np.arange(len(unseen)), CAPTURES)
    colour = np.array([c for _, c in drawn])[WHITENING_PEOPLE * CAPTURES :]
    same_person, same_colour = who[pairs[0]] == who[pairs[1]], colour[pairs[0]] == colour[pairs[1]]
    similarity = (code @ code.T)[pairs]
    assert auc(similarity, same_person) >= 0.9
    assert auc(similarity[same_colour], same_person[same_colour]) > 0.75


def test_another_expression_changes_the_expression_alone():
    smiles = []
    for index in range(40):
        drawn = [faces.sample(1, index, expression=expression) for expression in range(3)]
        for other in drawn[1:]:
            assert other.person == drawn[0].person
            own = {name: getattr(drawn[0].capture, name) for name in ("smile", "mouth_open", "brow_raise", "squint")}
            assert replace(other.capture, **own) == drawn[0].capture
        smiles.append([face.capture.smile for face in drawn])
    for one, two in combinations(np.transpose(smiles), 2):
        assert (one != two).all() and abs(np.corrcoef(one, two)[0, 1]) < 0.5
