"""The nets that grade renders: the face parser, the attribute net with several heads, the identity and pose nets."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import MERGED_CLASSES, MERGED_ID, NUM_CLASSES, colorize, colorize_merged
from maskgan_lib.data.batches import Batch, flip, merge, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import angular_margin_loss, binned_angle_loss, reconstruction_loss
from maskgan_lib.networks import AttributeNet, FaceParser, IdentityNet, PersonCentres, PoseNet
from maskgan_lib.networks.pose import expected_angles
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import BETAS, Stage, TrainingError, tile, update


def imperfect(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Photos and masks of ``batch``, some mirrored, each with a blur, a contrast, a colour cast and grain of its own.

    The third is bool ``[B]``: which are mirrored. A judge that has seen clean photos only takes a render's grain or
    softness for something else than it is. What is drawn depends on seed and step alone.
    """
    size = batch.image.shape[-1]
    noise = batch.noise(3, size + 1, size)
    grain, shared = noise[:, :, :size], noise[:, :, size:]  # the last row: numbers that hold for a whole picture
    cast, (mirror, blur, contrast, strength) = shared[..., :1], shared[:, 0, 0, 1:5].T[..., None, None, None]
    flipped_image, flipped_mask = flip(batch.image, batch.mask)
    mirrored = mirror > 0
    image = torch.where(mirrored, flipped_image, batch.image)
    mask = torch.where(mirrored[:, 0], flipped_mask, batch.mask)
    soft = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = torch.lerp(image, soft, blur.abs().clamp(max=1))
    image = image * (1 + 0.1 * contrast) + 0.04 * cast + 0.03 * strength.abs() * grain
    return image.clamp(-1, 1), mask, mirrored.flatten()


def class_weights(faces: PackedFaces, balance: float, most: int = 1000, merged: bool = False) -> Tensor:
    """``[19]``: every class' share of the pixels to the power of ``-balance``, 1 for the commonest class.

    Counted on at most ``most`` faces, evenly spaced. A class that is absent there weighs 1. ``merged``: ``[12]``, of
    the merged classes.
    """
    masks = faces.masks[:: -(-len(faces) // most)]
    count = np.bincount(masks.reshape(-1), minlength=256)[:NUM_CLASSES]
    if merged:
        count = np.bincount(MERGED_ID[:NUM_CLASSES], count)
    share = torch.from_numpy(count).float()
    return torch.where(share > 0, (share / share.max()) ** -balance, 1.0)


class ParserStage(Stage):
    """Minimises the cross-entropy of a pixel's class, rare classes weighing more if the preset says so, with Adam.

    With 12 classes it learns the merged ones, and is what SeCGAN calls P.
    """

    name = settings = "parser"
    averaged = ("parser",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        if preset.parser_classes not in (NUM_CLASSES, len(MERGED_CLASSES)):
            raise ValueError(
                f"parser_classes must be {NUM_CLASSES} or {len(MERGED_CLASSES)}, not {preset.parser_classes}."
            )
        self.merged = preset.parser_classes == len(MERGED_CLASSES)
        network = FaceParser(preset.parser_classes, preset.parser_width)
        self.networks = {"parser": network}
        self.optimizers = {"parser": torch.optim.Adam(network.parameters(), lr=preset.parser_lr, betas=BETAS)}
        self.config = {"lr": preset.parser_lr, "class balance": preset.parser_balance}
        self.weights = class_weights(faces, preset.parser_balance, merged=self.merged)

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and their masks."""
        return update(self.optimizers["parser"], [self.networks["parser"]], batches, self.parser_loss, accelerator)

    def parser_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the masks, seen in photos made ``imperfect``."""
        image, mask, _ = imperfect(batch)
        mask = merge(mask) if self.merged else mask
        self.weights = self.weights.to(image.device)  # once
        loss = reconstruction_loss(self.networks["parser"](image), mask, self.weights)
        return loss, {"loss": loss}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, their masks, the masks that the parser sees."""
        image, mask = batch.image[:8], batch.mask[:8]
        mask, colours = (merge(mask), colorize_merged) if self.merged else (mask, colorize)
        parsed = networks["parser"](image).argmax(dim=1)
        rows = [to_uint8_image(image), *(colours(labels.byte().cpu().numpy()) for labels in (mask, parsed))]
        return tile(np.concatenate(rows), len(image))


class AttributesStage(Stage):
    """Minimises the binary cross-entropy of all attributes that the faces have, with Adam.

    Raises ``TrainingError`` for faces of which no attribute is known.
    """

    name, settings = "attributes", "attribute"
    averaged = ("attributes",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        names = faces.attribute_names
        if not names:
            raise TrainingError(f"{faces.folder} knows no attributes of its faces: choose faces that have some.")
        network = AttributeNet(names, width=preset.attribute_width)
        self.networks = {"attributes": network}
        self.optimizers = {"attributes": torch.optim.Adam(network.parameters(), lr=preset.attribute_lr, betas=BETAS)}
        self.config = {"lr": preset.attribute_lr, "attributes": ", ".join(names)}
        self.truth = torch.from_numpy(np.stack([faces.attribute(name) for name in names], axis=1) > 0)

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and what is known of those faces."""
        network = self.networks["attributes"]
        return update(self.optimizers["attributes"], [network], batches, self.attributes_loss, accelerator)

    def attributes_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of all answers on photos made ``imperfect``; ``wrong`` is the share of wrong ones."""
        truth = self.truth[batch.index].to(batch.image.device)
        logits = self.networks["attributes"](imperfect(batch)[0])
        loss = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype))
        return loss, {"loss": loss, "wrong": ((logits > 0) != truth).float().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """The photos in rows of eight, from the surest no to the surest yes to "Smiling", or to the first attribute."""
        network = networks["attributes"]
        names = network.config["attributes"]
        answers = network(batch.image)[:, names.index("Smiling") if "Smiling" in names else 0]
        return tile(to_uint8_image(batch.image[answers.argsort()]), min(8, len(answers)))


class IdentityStage(Stage):
    """Minimises the angular margin loss over the persons of the faces (ArcFace), with Adam.

    Raises ``TrainingError`` for faces whose persons are not known, or of whom there is one picture only.
    """

    name = settings = "identity"
    averaged = ("identity",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        known = faces.identity
        persons, self.person = np.unique(known, return_inverse=True)
        if (known < 0).any() or len(persons) == len(known):
            raise TrainingError(
                f"{faces.folder} does not show persons several times by name: the identity net learns from such faces,"
                " for instance those of `python -m maskgan_lib faces --identities 2000`."
            )
        network = IdentityNet(faces.size, preset.identity_embedding, preset.identity_width)
        centres = PersonCentres(len(persons), preset.identity_embedding)
        self.networks = {"identity": network, "centres": centres}
        parameters = [*network.parameters(), *centres.parameters()]
        self.optimizers = {"identity": torch.optim.Adam(parameters, lr=preset.identity_lr, betas=BETAS)}
        self.margin, self.scale = preset.identity_margin, preset.identity_scale
        self.config = {"lr": preset.identity_lr, "margin": self.margin, "scale": self.scale}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and who is in them."""
        return update(
            self.optimizers["identity"], list(self.networks.values()), batches, self.identity_loss, accelerator
        )

    def identity_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Margin loss on photos made ``imperfect``; ``wrong`` is the share whose nearest centre is another person's."""
        person = torch.as_tensor(self.person[batch.index], device=batch.image.device)
        cosines = self.networks["centres"](self.networks["identity"](imperfect(batch)[0]))
        loss = angular_margin_loss(cosines, person, self.margin, self.scale)
        return loss, {"loss": loss, "wrong": (cosines.argmax(dim=1) != person).float().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, and for each the most similar other photo of the batch."""
        unit = F.normalize(networks["identity"](batch.image))
        nearest = (unit @ unit.T - 2 * torch.eye(len(unit), device=unit.device)).argmax(dim=1)[:8]
        pictures = torch.cat([batch.image[: len(nearest)], batch.image[nearest]])
        return tile(to_uint8_image(pictures), len(nearest))


class PoseStage(Stage):
    """Minimises HopeNet's loss of binned angles, with Adam. Raises ``TrainingError`` for faces of unknown pose."""

    name = settings = "pose"
    averaged = ("pose",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        self.pose = torch.from_numpy(faces.pose)
        if not self.pose.isfinite().all():
            raise TrainingError(f"{faces.folder} does not know the pose of every face: choose faces with poses.")
        network = PoseNet(preset.pose_width)
        self.networks = {"pose": network}
        self.optimizers = {"pose": torch.optim.Adam(network.parameters(), lr=preset.pose_lr, betas=BETAS)}
        self.regression = preset.pose_regression
        self.config = {"lr": preset.pose_lr, "regression": self.regression}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and their poses."""
        return update(self.optimizers["pose"], [self.networks["pose"]], batches, self.pose_loss, accelerator)

    def pose_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss on photos made ``imperfect``; ``degrees`` is the mean absolute error of the three angles.

        A mirrored face looks the other way and tilts the other way, and nods as before.
        """
        image, _, mirrored = imperfect(batch)
        pose = self.pose[batch.index].to(image.device)
        yaw, pitch, roll = pose.T
        pose = torch.where(mirrored[:, None], torch.stack([-yaw, pitch, -roll], dim=1), pose)
        logits = self.networks["pose"](image)
        loss = binned_angle_loss(logits, pose, self.regression)
        return loss, {"loss": loss, "degrees": (expected_angles(logits) - pose).abs().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """The photos in rows of eight, by yaw as the network sees it."""
        yaw = networks["pose"].degrees(batch.image)[:, 0]
        return tile(to_uint8_image(batch.image[yaw.argsort()]), min(8, len(yaw)))
