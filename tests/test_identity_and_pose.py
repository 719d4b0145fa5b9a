"""The nets that say who is in a picture and how the head is turned: that they learn, are asked and measured right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from toy_faces import pack_pictures, pack_toy_faces

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.data.batches import Batches, to_float_image
from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation.judges import Judge, measure_identity, measure_pose
from maskgan_lib.judges.identity import IdentityNet, PersonCentres
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.judges.stage import imperfect
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage, train_stage

SMOKE = replace(PRESETS["smoke"], ema_decay=0.8, log_every=50, checkpoint_every=999, sample_every=999)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("people") / "toy", 8)


BLANK = np.zeros((3, 32, 32, 3), np.uint8)


# ---- the networks


def test_the_identity_net_sees_where_things_lie():
    torch.manual_seed(0)
    network = IdentityNet(64, embedding=5, width=2).eval()
    image = torch.randn(3, 3, 64, 64)
    assert network(image).shape == (3, 5)
    assert (network(image) - network(image.flip(2))).abs().max() > 1e-3
    with pytest.raises(ValueError, match="takes 64 x 64 pixels, not"):
        network(torch.randn(1, 3, 32, 64))


def test_centres_give_cosines():
    torch.manual_seed(0)
    centres, embeddings = PersonCentres(4, 3), torch.randn(2, 3)
    by_hand = [[torch.cosine_similarity(e, c, dim=0).item() for c in centres.directions] for e in embeddings]
    torch.testing.assert_close(centres(embeddings), torch.tensor(by_hand))
    torch.testing.assert_close(centres(embeddings * 7), centres(embeddings))


# ---- the stages


def test_identity_wants_people_that_recur(tmp_path):
    for name, known in (("once", {"identity": [0, 1, 2]}), ("unknown", {})):
        strangers = pack_pictures(tmp_path / name, BLANK, **known)
        with pytest.raises(TrainingError, match="does not show persons several times by name"):
            make_stage("identity", SMOKE, strangers)
        with pytest.raises(DataError, match="does not show persons several times by name"):
            measure_identity(IdentityNet(32, width=2), strangers, np.arange(3))


def test_pose_wants_faces_of_known_pose(tmp_path):
    faces = pack_pictures(tmp_path / "some", BLANK, pose=[(1, 2, 3), (1, 2, 3), (np.nan,) * 3])
    with pytest.raises(TrainingError, match="does not know the pose of every face"):
        make_stage("pose", SMOKE, faces)
    with pytest.raises(DataError, match="does not know the pose of every face"):
        measure_pose(PoseNet(2), faces, np.arange(3))


def test_pose_learns_which_way_bright_sides_look(tmp_path):
    pictures = np.full((8, 32, 32, 3), 60, np.uint8)
    for i, picture in enumerate(pictures):
        picture[:, 16 * (i % 2) :][:, :16] = 200 - 5 * i
    poses = [(20.0, 4.0, -10.0) if i % 2 else (-20.0, 4.0, 10.0) for i in range(8)]
    faces = pack_pictures(tmp_path / "sides", pictures, pose=poses)
    preset = SMOKE.replace({"pose.width": 8, "pose.lr": 1e-2})
    train_stage("pose", preset, faces, tmp_path / "run", steps=80)
    network = load_weights(tmp_path / "run" / "pose.safetensors")
    with torch.no_grad():
        error = network.degrees(to_float_image(faces.images)) - torch.from_numpy(faces.pose)
    assert error.abs().max() < 3
    figures = measure_pose(network, faces, np.arange(8))
    assert [figure.value for figure in figures[:3]] == pytest.approx(error.abs().mean(dim=0).tolist(), rel=1e-4)
    assert figures[3].value == pytest.approx((20 + 4 + 10) / 3)


def test_a_mirrored_face_is_taught_the_mirrored_pose(faces, monkeypatch):
    stage = make_stage("pose", SMOKE, faces)
    batch = Batches(faces, np.arange(8), 8, seed=1).at(0)
    mirrored = imperfect(batch)[2]
    taught = []
    monkeypatch.setattr(
        "maskgan_lib.judges.pose.binned_angle_loss",
        lambda logits, pose, regression: taught.append(pose) or logits.sum() * 0,
    )
    stage.step([batch], Accelerator())
    truth = torch.from_numpy(faces.pose)[batch.index]
    assert 0 < mirrored.sum() < 8
    assert torch.equal(taught[0][~mirrored], truth[~mirrored])
    assert torch.equal(taught[0][mirrored], truth[mirrored] * torch.tensor([-1.0, 1, -1]))


class ReadsCorner(nn.Module):
    """An embedding that is the colour of the first pixel."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return self.scale * image[:, :, 0, 0]


def test_identity_figures_of_a_net_that_knows_everybody(tmp_path):
    persons, pictures = np.arange(40) // 2, np.zeros((40, 16, 16, 3), np.uint8)
    pictures[:, 0, 0] = np.random.default_rng(0).integers(0, 256, (20, 3))[persons]
    hair = [{"Black_Hair": 1 if person % 2 else -1} for person in persons]
    faces = pack_pictures(tmp_path / "corner", pictures, identity=persons.tolist(), attributes=hair)
    figures = measure_identity(ReadsCorner(), faces, np.arange(40))
    areas = [figure for figure in figures if "AUC" in figure.name]
    assert len(areas) >= 2 and all(figure.value == 1 for figure in areas)
    assert any("same hair" in figure.name for figure in areas)
    assert Judge(ReadsCorner(), 16, {}).origin == "a source that its card does not name"
