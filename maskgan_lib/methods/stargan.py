"""StarGAN (Choi et al., CVPR 2018): one generator that gives a face the attributes asked for, and its discriminator.

The generator is told which attributes a face should have, and has to find the way back.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.methods.method import EDITING, TRANSFER, Method, Request, known, wish
from maskgan_lib.methods.wgan import WassersteinStage, critic_terms, label_loss
from maskgan_lib.networks.blocks import Recomputing, check_size
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import Terms, tile


def _normalized(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """A convolution without a bias, the affine instance normalisation that makes one useless, and ReLU.

    The published code also keeps running statistics, which PyTorch uses in evaluation mode: the network then is not
    the one that was trained, and of the labels, constant planes, it sees more than it ever did. Here every picture is
    normalised by its own statistics, in training and afterwards.
    """
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), nn.ReLU(inplace=True)]


def as_planes(numbers: Tensor, like: Tensor) -> Tensor:
    """``numbers [B, A]`` as planes of one value each, ``[B, A, H, W]``, of the size and the type of ``like``."""
    return numbers.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def check_labels(labels: Tensor, images: Tensor, attributes: Sequence[str]) -> None:
    """``ValueError`` unless there is a label for every attribute of every image."""
    if labels.shape != (len(images), len(attributes)):
        raise ValueError(
            f"{len(images)} images need labels [{len(images)}, {len(attributes)}] for {', '.join(attributes)}, "
            f"not {list(labels.shape)}."
        )


class LabelledResidualBlock(nn.Module):
    """``x + norm(conv(relu(norm(conv(x)))))``: 3x3 with zero padding, affine instance normalisation."""

    def __init__(self, channels: int):
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.layers = nn.Sequential(*_normalized(first), *_normalized(second)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class StarGANBackbone(Recomputing):
    """``cat(x, condition as planes)``, ``c7s1-64, c4s2-128, c4s2-256, r256 x6``, two transposed, a last ``c7s1``.

    Padding is with zeros: after a padding by reflection a plane of one value stays one, and the instance normalisation
    that follows removes it. As it is, the condition comes in from the border of the picture.

    Args:
        inputs: channels of what is changed.
        outputs: channels of the result, to which no activation is applied.
        conditions: numbers of the condition.
        width: channels at full resolution; they double at each of the two halvings.
        blocks: residual blocks, at a quarter of the size.

    Sizes: heights and widths from 8 pixels up, multiples of 4; others are a ``ValueError``.
    """

    def __init__(self, inputs: int, outputs: int, conditions: int, width: int = 64, blocks: int = 6):
        super().__init__()
        layers = _normalized(nn.Conv2d(inputs + conditions, width, 7, padding=3, bias=False))
        for channels in (width, 2 * width):
            layers += _normalized(nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False))
        self.down = nn.Sequential(*layers)
        self.blocks = nn.ModuleList(LabelledResidualBlock(4 * width) for _ in range(blocks))
        last = nn.Conv2d(width, outputs, 7, padding=3, bias=False)
        layers = []
        for channels in (2 * width, width):
            layers += _normalized(nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1, bias=False))
        self.up = nn.Sequential(*layers, last)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` and ``condition [B, conditions]`` to ``[B, outputs, H, W]``."""
        check_size(x, 4, 8, type(self).__name__)
        x = self.segment(self.down, torch.cat([x, as_planes(condition, x)], dim=1))
        for block in self.blocks:
            x = self.segment(block, x)
        return self.segment(self.up, x)


@NETWORKS.register
class StarGANGenerator(StarGANBackbone):
    """The backbone from an image to an image, its condition the labels that are asked for; tanh at the end.

    Args:
        attributes: names of the A attributes, in the order of the labels.
        width, blocks: as of ``StarGANBackbone``.
    """

    def __init__(self, attributes: Sequence[str] = ("Smiling",), width: int = 64, blocks: int = 6):
        super().__init__(3, 3, len(attributes), width, blocks)
        self.config = {"attributes": list(attributes), "width": width, "blocks": blocks}

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """``image [B, 3, H, W]`` in [-1, 1] with the attributes ``labels [B, A]``, 1 or 0 each: such an image."""
        check_labels(labels, image, self.config["attributes"])
        return super().forward(image, labels).tanh()


class TwoHeadedDiscriminator(nn.Module, ABC):
    """Is it a photograph, and which attributes has it? Convolutions of stride 2, ``layers``, and two heads.

    Small pictures get fewer than ``HALVINGS`` convolutions, so that the last map has 2x2 places or more.

    Args:
        attributes: names of the A attributes, in the order of the answers.
        image_size: side of the pictures, from 8 pixels up: the second head sees all of one.
        width: channels of the first layer; they double per layer.
        inputs: channels of the pictures: 3, or the classes of masks.
    """

    HALVINGS: int

    def __init__(
        self, attributes: Sequence[str] = ("Smiling",), image_size: int = 128, width: int = 64, inputs: int = 3
    ):
        super().__init__()
        if image_size < 8:
            raise ValueError(f"The discriminator takes pictures from 8 pixels a side up, not {image_size}.")
        self.config = {"attributes": list(attributes), "image_size": image_size, "width": width, "inputs": inputs}
        count = min(self.HALVINGS, image_size.bit_length() - 2)
        self.build([inputs, *(width * 2**i for i in range(count))], image_size >> count, len(attributes))

    @abstractmethod
    def build(self, widths: Sequence[int], side: int, answers: int) -> None:
        """Make ``layers``, of these channels, and the heads ``source`` and ``classes`` on maps ``side`` places wide."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image [B, inputs, S, S]`` to linear scores, ``[B, 1, h, w]`` or ``[B, 1]``, and logits ``[B, A]``."""
        side = self.config["image_size"]
        if image.shape[-2:] != (side, side):
            found = " x ".join(map(str, image.shape[-2:]))
            raise ValueError(f"This discriminator takes pictures of {side} x {side} pixels, not {found}.")
        features = self.layers(image)
        return self.source(features), self.classes(features).flatten(1)

    def scores(self, image: Tensor) -> Tensor:
        """The scores alone, for the gradient penalty: not ``forward``, to which autocast applies."""
        return self.source(self.layers(image))


@NETWORKS.register
class StarGANDiscriminator(TwoHeadedDiscriminator):
    """Judges patch by patch: ``C64 ... C2048``, six 4x4 convolutions with LeakyReLU 0.01, then two convolutions.

    There is no normalisation, which the gradient penalty would not allow.
    """

    HALVINGS = 6

    def build(self, widths: Sequence[int], side: int, answers: int) -> None:
        pairs = pairwise(widths)
        layers = [(nn.Conv2d(i, o, 4, stride=2, padding=1), nn.LeakyReLU(0.01, inplace=True)) for i, o in pairs]
        self.layers = nn.Sequential(*chain.from_iterable(layers))
        self.source = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.classes = nn.Conv2d(widths[-1], answers, side, bias=False)


@SETTINGS.called("stargan")
@dataclass(frozen=True)
class StarGANSettings:
    """Of StarGAN and its training."""

    attributes: tuple[str, ...] = ("Smiling",)  # those that the network can change; Smiling in Table 2
    width: int = 64  # 64
    blocks: int = 6  # 6
    disc_width: int = 64  # 64
    critic_updates: int = 5  # 5 updates of the discriminator for one of the generator, which is a step
    batch: int = 80  # 5 times 16: every update of the discriminator sees faces of its own
    steps: int = 600_000  # 40,000 in the authors' code; here as many as the DMN's
    lr: float = 1e-4  # 1e-4, betas (0.5, 0.999)
    penalty_weight: float = 10.0  # lambda_gp = 10
    disc_class_weight: float = 1.0  # lambda_cls = 1
    class_weight: float = 1.0  # lambda_cls = 1
    cycle_weight: float = 10.0  # lambda_rec = 10
    identity_weight: float = 0.0  # none; ours: of faces that are asked for what they have


@STAGES.register
class StarGANStage(WassersteinStage):
    """WGAN-GP, the attributes, and the way there and back.

    With one attribute, half of the faces ask for nothing new; such a face teaches the way there and back only.
    """

    name = settings = "stargan"
    averaged = ("stargan",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        own = preset.stargan
        super().__init__(faces, own)
        weights = {"critic": 1.0, "penalty": own.penalty_weight, "real classes": own.disc_class_weight}
        weights |= {"adversarial": 1.0, "made classes": own.class_weight}
        weights |= {"cycle": own.cycle_weight, "identity": own.identity_weight}
        generator = StarGANGenerator(own.attributes, own.width, own.blocks)
        discriminator = StarGANDiscriminator(own.attributes, faces.size, own.disc_width)
        self.learn_with_adam({"stargan": generator}, {"discriminator": discriminator}, weights, own.lr)

    def discriminator_terms(self, batch: Batch) -> Terms:
        """WGAN-GP and the attributes of the photographs."""
        source, target, mix = self.asked(batch)
        with torch.no_grad():
            made = self.networks["stargan"](batch.image, target)
        judge = self.networks["discriminator"]
        critic, penalty, logits = critic_terms(judge, self.judges["discriminator"], batch.image, made, mix)
        return {"critic": critic, "penalty": penalty, "real classes": label_loss(logits, source)}

    def generator_terms(self, batch: Batch) -> Terms:
        """The score, the attributes that were asked for, and L1 between a face and itself after there and back.

        Where nothing new was asked for, the result should be the face itself: L1 again, of weight 0 in the paper. A
        generator that cannot yet do that loses the face on its way there, and learns the way back slowly.
        """
        source, target, _ = self.asked(batch)
        made = self.networks["stargan"](batch.image, target)
        scores, logits = self.judges["discriminator"](made)
        unchanged = (target == source).all(dim=1)
        return {
            "adversarial": -scores.mean(),
            "made classes": label_loss(logits, target),
            "cycle": F.l1_loss(self.networks["stargan"](made, source), batch.image),
            "identity": ((made - batch.image).abs().mean(dim=(1, 2, 3)) * unchanged).mean(),
        }

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, there and back with their own labels, and for each attribute those with that label changed."""
        network, image = networks["stargan"], batch.image[:8]
        labels = self.labels[batch.index[:8]].to(image.device)
        changes = torch.eye(labels.shape[1], device=image.device)
        rows = [image, network(image, labels), *(network(image, (labels - one).abs()) for one in changes)]
        return tile(to_uint8_image(torch.cat(rows)), len(image))


def by_label(network: StarGANGenerator, request: Request) -> Tensor:
    """The target with the label that is asked for; all else that the network can change stays as annotated."""
    wanted = request.labels | wish(network, request)
    labels = [known(wanted, name) for name in network.config["attributes"]]
    return network(request.target, torch.stack(labels, dim=1).float())


WHAT = {"tasks": (TRANSFER, EDITING), "place": 0, "phases": ("shipped-half", "shipped"), "at_learnt_size": True}
METHODS.register(Method("StarGAN", StarGANGenerator, "stargan", by_label, **WHAT))
