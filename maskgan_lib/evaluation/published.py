"""Published weights as judges, for users who have them: where they are from, how they are checked, what they take.

Nothing needs them: the judges that ship were trained here. None of the packages that they come from is a dependency.
Each network is wrapped so that it takes our pictures and answers as our own judge of that role does.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet, resnet18
from torchvision.transforms.functional import crop, normalize

from maskgan_lib.checkpoints import CheckpointError, load_authors, load_into
from maskgan_lib.checkpoints.files import read_state_dict
from maskgan_lib.classes import ATTRIBUTE_NAMES, NUM_CLASSES
from maskgan_lib.evaluation.judges import ROLES, Judge, Judges
from maskgan_lib.judges.iresnet import SIDE, IResNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import BIN_DEGREES, BINS

ARCFACE_EYES = ((38.2946, 51.6963), (73.5318, 51.5014))
"""Where ArcFace's alignment puts the eyes, (x, y) in pixels of 112 x 112, the viewer's left one first."""

CELEBA_HQ_EYES = ((193.5, 245.0), (319.0, 245.0))
"""Where they lie in the pictures of CelebA-HQ, in pixels of 512 x 512: means of faces that look straight ahead."""


def arcface_window(side: int = SIDE) -> tuple[int, int, int]:
    """To how many pixels a side a CelebA-HQ crop is resized, and top and left of the ``side`` pixels that ArcFace sees.

    A size and a shift in whole pixels, so that pictures are resampled once; the eyes then lie within half a pixel of
    ArcFace's template. The template's own tilt, 0.3 degrees, is left out.
    """
    (left_x, left_y), (right_x, right_y) = ARCFACE_EYES
    (from_left, from_y), (from_right, _) = CELEBA_HQ_EYES
    size = round(512 * (right_x - left_x) / (from_right - from_left) * side / SIDE)
    # Pixel centres lie at halves where coordinates are scaled.
    top = (from_y + 0.5) * size / 512 - ((left_y + right_y) / 2 + 0.5) * side / SIDE
    left = ((from_left + from_right) / 2 + 0.5) * size / 512 - ((left_x + right_x) / 2 + 0.5) * side / SIDE
    return size, round(top), round(left)


# ---- networks that answer as our own do


class PublishedIdentity(nn.Module):
    """CelebA-HQ crops ``[B, 3, size, size]`` in [-1, 1] to embeddings ``[B, E]`` of ``network``, for ``side`` pixels.

    ``arcface_window`` has the eyes at the same places; it is no alignment of each face as the networks learnt from.
    """

    def __init__(self, network: nn.Module, side: int = SIDE, contrast: float = 1.0):
        super().__init__()
        self.network, self.side, self.contrast = network, side, contrast
        self.size, self.top, self.left = arcface_window(side)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (self.size, self.size):
            raise ValueError(f"These weights take {self.size} x {self.size} pixels, not {tuple(images.shape[-2:])}.")
        return self.network(crop(images, self.top, self.left, self.side, self.side) * self.contrast)


def normalised(images: Tensor) -> Tensor:
    """Pictures in [-1, 1] as networks take them that learnt with ImageNet's mean and deviation of RGB in [0, 1]."""
    return normalize((images + 1) / 2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class PublishedPose(nn.Module):
    """HopeNet (Ruiz et al., CVPR workshops 2018) for pictures ``[B, 3, H, W]`` in [-1, 1].

    ``network`` gives logits ``[B, 198]`` of the bins of yaw, pitch and roll.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def degrees(self, images: Tensor) -> Tensor:
        """Yaw, pitch and roll in degrees, ``[B, 3]``: positive to the viewer's right, down and counter-clockwise.

        HopeNet's own three signs are the opposite ones: so its authors draw the axes of a head (``draw_axis``). Its
        bins count by their lower edges, as it was trained, where ``PoseNet`` counts by the centres.
        """
        shares = self.network(normalised(images)).float().unflatten(1, (3, BINS)).softmax(dim=2)
        return -(shares @ ((torch.arange(BINS, device=images.device) - BINS / 2) * BIN_DEGREES))

    forward = degrees


class PublishedAttributes(nn.Module):
    """A ResNet-18 for each attribute, by its name: pictures ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, A]``."""

    def __init__(self, networks: dict[str, ResNet]):
        super().__init__()
        self.config = {"attributes": list(networks)}
        self.answers = nn.ModuleList(network.fc for network in networks.values())
        self.networks = nn.ModuleList(networks.values())
        for network in self.networks:
            network.fc = nn.Identity()

    def features(self, images: Tensor) -> Tensor:
        """The pooled features of all networks side by side, ``[B, A * 512]``."""
        images = normalised(images)
        return torch.cat([network(images) for network in self.networks], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        parts = self.features(images).chunk(len(self.networks), dim=1)
        return torch.cat([answer(part) for answer, part in zip(self.answers, parts, strict=True)], dim=1)


# ---- files to networks


def _load_parser(path: Path) -> tuple[nn.Module, str]:
    network = load_authors(path)
    if not isinstance(network, FaceParser) or network.config["num_classes"] != NUM_CLASSES:
        raise CheckpointError(f"{path} holds no parser of {NUM_CLASSES} classes: give the authors' parsenet/model.pth.")
    return network, "the authors' U-Net"


def _load_arcface(path: Path) -> tuple[nn.Module, str]:
    state = _read_state(path)
    layers = _block_counts(state, path, "ArcFace IResNet, e.g. backbone.pth", "conv1.weight", "fc.bias")
    network = _filled(lambda: IResNet(layers, len(state["conv1.weight"]), len(state["fc.bias"])), state, path)
    return PublishedIdentity(network), f"ArcFace IR-{2 * sum(layers) + 2}"


def _load_facenet(path: Path) -> tuple[nn.Module, str]:
    try:
        from facenet_pytorch import InceptionResnetV1
    except ImportError:
        raise CheckpointError(
            "FaceNet needs its package: `pip install --no-deps facenet-pytorch` (without --no-deps it would replace "
            "PyTorch by an old one)."
        ) from None
    # The classifier of the persons it learnt from has no part in the embedding.
    network = _filled(lambda: InceptionResnetV1(pretrained=None), _read_state(path, "logits."), path)
    return PublishedIdentity(network, 160, contrast=127.5 / 128), "FaceNet"


def _load_hopenet(path: Path) -> tuple[nn.Module, str]:
    state = _read_state(path, "fc_finetune.")  # which has no part in the angles
    heads = {leaf: [f"fc_{angle}.{leaf}" for angle in ("yaw", "pitch", "roll")] for leaf in ("weight", "bias")}
    layers = _block_counts(state, path, "HopeNet", *heads["weight"], *heads["bias"])
    for leaf, keys in heads.items():
        state[f"fc.{leaf}"] = torch.cat([state.pop(key) for key in keys])
    return PublishedPose(_filled(lambda: ResNet(Bottleneck, layers, num_classes=3 * BINS), state, path)), "HopeNet"


def _load_attributes(folder: Path) -> tuple[nn.Module, str]:
    files = sorted(folder.glob("*.pth")) if folder.is_dir() else []
    if not files:
        raise CheckpointError(f"{folder} is no folder of files <attribute>.pth: give one ResNet-18 for each attribute.")
    networks = {}
    for path in files:
        if path.stem not in ATTRIBUTE_NAMES:
            raise CheckpointError(f"{path}: name each file after an attribute of CelebA, e.g. Smiling.pth.")
        state = _read_state(path)
        for key in ("fc.weight", "fc.bias"):
            if len(state.get(key, ())) == 2:  # no and yes: their difference is the logit
                state[key] = state[key][1:] - state[key][:1]
        networks[path.stem] = _filled(lambda: resnet18(num_classes=1), state, path)
    return PublishedAttributes(networks), "a ResNet-18 per attribute"


def _read_state(path: Path, *ignored: str) -> dict[str, Tensor]:
    """A plain state dict without what begins with one of ``ignored``."""
    state = read_state_dict(path, "get it again", "give a state dict that torch.save wrote")
    if not state:
        raise CheckpointError(f"{path} holds no weights at all: get it again.")
    return {key: value for key, value in state.items() if not key.startswith(ignored)}


def _block_counts(state: dict[str, Tensor], path: Path, what: str, *needed: str) -> list[int]:
    """How many blocks ``layer1`` to ``layer4`` have; ``CheckpointError`` without those or the keys ``needed``."""
    names = {match.groups() for key in state if (match := re.match(r"layer([1-4])\.(\d+)\.", key))}
    counts = [sum(layer == str(i) for layer, _ in names) for i in (1, 2, 3, 4)]
    if min(counts) == 0 or not state.keys() >= {*needed}:
        raise CheckpointError(f"{path} holds no {what} ({', '.join(list(state)[:3])} ...): give another file.")
    return counts


def _filled(make: Callable[[], nn.Module], state: dict[str, Tensor], path: Path) -> nn.Module:
    """Strictly; only the counters of batch normalisation may be missing, which old files do not have."""
    with torch.device("meta"):
        network = make()
    for key in network.state_dict():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, torch.tensor(0))
    load_into(network, state, str(path))
    return network


# ---- the registry


@dataclass(frozen=True)
class Published:
    """Weights that somebody published, each to be got by hand.

    ``sha256`` is the hash that users of the weights agree on, None where none is known. To ``size`` pixels a side
    pictures are resized, crops like those of CelebA-HQ.
    """

    role: str
    how_to_get: str
    licence: str
    restriction: str
    size: int
    load: Callable[[Path], tuple[nn.Module, str]]
    sha256: str | None = None


PUBLISHED = {
    "maskgan-parser": Published(
        role="parser",
        how_to_get="download it in a browser from https://drive.google.com/file/d/1Me181DqwnE-yptAh04cZ1wsHViYrZuhc, "
        "the link in face_parsing/README.md of github.com/switchablenorms/CelebAMask-HQ",
        licence="non-commercial research and education only, as the CelebAMask-HQ that it learnt from",
        restriction="non-commercial",
        size=512,
        load=_load_parser,
    ),
    "arcface": Published(
        role="identity",
        how_to_get="download a backbone.pth of an r50 or r100 in a browser from the model zoo in "
        "recognition/arcface_torch/README.md of github.com/deepinsight/insightface",
        licence="code MIT, weights for non-commercial research only",
        restriction="non-commercial",
        size=arcface_window()[0],
        load=_load_arcface,
    ),
    "facenet": Published(
        role="identity",
        how_to_get="download https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
        "20180402-114759-vggface2.pt; its network needs `pip install --no-deps facenet-pytorch`",
        licence="MIT; the pictures of VGGFace2, which it learnt from, have terms of their own",
        restriction="MIT",
        size=arcface_window(160)[0],
        load=_load_facenet,
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
    ),
    "hopenet": Published(
        role="pose",
        how_to_get="download a .pkl in a browser, best the one that is robust to image quality, "
        "https://drive.google.com/open?id=1m25PrSE7g9D2q2XJVMR6IA7RaCvWSzCR, from the README of "
        "github.com/natanielruiz/deep-head-pose",
        licence="code Apache-2.0, no licence stated for the weights; 300W-LP, which it learnt from, is for research",
        restriction="licence of the weights not stated",
        size=224,
        load=_load_hopenet,
    ),
    "attributes": Published(
        role="attributes",
        how_to_get="nobody published those of the paper: train torchvision's resnet18 for each attribute, with one "
        "answer or two (no, yes), and put their state dicts into one folder as <attribute>.pth",
        licence="that of whoever trained them",
        restriction="a user's own",
        size=224,
        load=_load_attributes,
    ),
}


def load_published(name: str, file: str | Path, sha256: str | None = None, device: str | torch.device = "cpu") -> Judge:
    """The weights ``name`` of ``PUBLISHED`` in ``file``, for "attributes" a folder, as a judge of their role.

    ``sha256`` is a hash to check instead of the registry's, whole or its first digits; where none is known, the file's
    own is printed. The card says where they come from (``data``), on which terms (``licence``) and which file it was.
    ``CheckpointError`` if it is another file, or does not fit, with all keys that are missing or too many.
    """
    if name not in PUBLISHED:
        raise CheckpointError(f"There are no published weights {name!r}: choose one of {', '.join(PUBLISHED)}.")
    entry, path = PUBLISHED[name], Path(file)
    if not path.exists():
        raise CheckpointError(f"There is no {path}: {entry.how_to_get}. Then name the file.")
    expected, found = sha256 or entry.sha256, _digest(path)
    if expected is None:
        print(f"No checksum is known for the {name} weights. {path} has sha256 {found}: compare it with another copy.")
    elif not found.startswith(expected.lower()):
        hashes = f"its sha256 is {found}, not {expected}"
        raise CheckpointError(f"{path} is not the file of the {name} weights ({hashes}): get it again.")
    network, title = entry.load(path)
    origin = f"published: {title}, {entry.restriction}"
    card = {"image_size": entry.size, "data": origin, "licence": entry.licence, "sha256": found}
    return Judge(network.to(device).eval().requires_grad_(False), entry.size, card)


def judges_of(folder: str | Path, others: Sequence[str] = (), device: str | torch.device = "cpu") -> Judges:
    """The judges in ``folder``, some replaced by ``others``: ``ROLE=FILE`` each, or ``ROLE=NAME:FILE``.

    ``NAME`` is one of ``PUBLISHED``. ``CheckpointError`` for a role, name or file that there is not, or a
    file that holds something else.
    """
    judges = Judges.shipped(device, folder)
    for entry in others:
        role, _, chosen = entry.partition("=")
        if role not in ROLES or not chosen:
            raise CheckpointError(f"{entry} names no judge: write ROLE=FILE, the role one of {', '.join(ROLES)}.")
        field, kind = ROLES[role]
        name, _, file = chosen.partition(":")
        if name in PUBLISHED and file:
            if PUBLISHED[name].role != role:
                raise CheckpointError(f"{name} is no judge of {role}, but of {PUBLISHED[name].role}: {entry}.")
            judge = load_published(name, Path(file), device=device)
        else:
            judge = Judge.load(chosen, kind, device)
        judges = replace(judges, **{field: judge})
    return judges


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of the weights in a folder."""
    if path.is_dir():
        lines = [f"{file.name} {_digest(file)}" for file in sorted(path.glob("*.pth"))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
