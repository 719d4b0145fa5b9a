"""ELEGANT (Xiao et al., ECCV 2018): two faces exchange an attribute by exchanging a part of their codes.

What is decoded is not a picture, but what to add to one. Both ways round are learnt at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_float_image, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.methods.method import TRANSFER, Method, Request, wish
from maskgan_lib.methods.stargan import as_planes
from maskgan_lib.networks.blocks import Recomputing, check_size, layers_to_draw
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.labels import face_labels, pick, uniform
from maskgan_lib.training.stage import BETAS, Stage, Terms, Weights, mean, tile

HALVINGS = 5


def _init_weights(network: nn.Module) -> None:
    """Draw all weights from N(0, 0.02), as the authors do, and set the biases to zero.

    The layers normalise what they get to a small length: PyTorch's default biases would be larger than the signal.
    """
    for layer in layers_to_draw(network, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(layer.bias)


class ChannelNormalization(nn.Module):
    """``alpha * x / |x| + beta``: the channels of every pixel as a vector of length 1, one alpha and one beta for all.

    Both are learned. Nothing is shared between pixels, pictures or batches.
    """

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * self.alpha + self.beta


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of stride 2, the normalisation, LeakyReLU 0.2."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.Sequential(convolution, ChannelNormalization(), nn.LeakyReLU(0.2, inplace=True))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


@NETWORKS.register
class Elegant(Recomputing):
    """Encoder and decoder: ``transfer(target, source, attribute)`` gives the target the source's attribute.

    The encoder halves five times, ``64, 128, 256, 512, 512``; the channels of its code are cut into one group for each
    attribute. The decoder sees two codes of one face, the one with a group from another face and its own, and gives
    ``2 tanh(...)``, which is added to the face. It gets the encoder's features of that face as skips, added after its
    layers.

    Args:
        attributes: names of the attributes, in the order of their groups of channels.
        width: channels after the first halving; they double per layer, up to eight times as many.
        latent: channels of the code.

    Sizes: heights and widths that are multiples of 32; others are a ``ValueError``.
    """

    def __init__(self, attributes: Sequence[str] = ("Smiling",), width: int = 64, latent: int = 512):
        super().__init__()
        if latent < len(attributes):
            raise ValueError(f"A code of {latent} channels cannot be cut into {len(attributes)} groups: widen it.")
        self.config = {"attributes": list(attributes), "width": width, "latent": latent}
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.encoder = nn.ModuleList(_halving(i, o) for i, o in pairwise([3, *widths, latent]))
        self.decoder = nn.ModuleList(
            nn.Sequential(_doubling(i, o), ChannelNormalization(), nn.ReLU(inplace=True))
            for i, o in pairwise([2 * latent, *widths[::-1]])
        )
        self.last = _doubling(width, 3)
        _init_weights(self)

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``image [B, 3, H, W]`` in [-1, 1] to codes ``[B, latent, H/32, W/32]`` and the skips, the largest first."""
        check_size(image, 2**HALVINGS, 2**HALVINGS, type(self).__name__)
        features = [image]
        for layer in self.encoder:
            features.append(self.segment(layer, features[-1]))
        return features[-1], features[1:-1]

    def group(self, attribute: str) -> slice:
        """The channels of a code that belong to ``attribute``."""
        names = self.config["attributes"]
        if attribute not in names:
            raise ValueError(f"This network transfers {', '.join(names)}, not {attribute!r}.")
        ends = [self.config["latent"] * k // len(names) for k in range(len(names) + 1)]
        place = names.index(attribute)
        return slice(ends[place], ends[place + 1])

    def swap(self, codes_a: Tensor, codes_b: Tensor, attribute: str) -> tuple[Tensor, Tensor]:
        """Both codes, each with the other's group of ``attribute``."""
        group = self.group(attribute)
        codes_c, codes_d = codes_a.clone(), codes_b.clone()
        codes_c[:, group], codes_d[:, group] = codes_b[:, group], codes_a[:, group]
        return codes_c, codes_d

    def decode(self, codes: Tensor, own: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Residual ``[B, 3, H, W]`` in [-2, 2] of wanted and own ``codes``, and the skips of the face it is for."""
        x = torch.cat([codes, own], dim=1)
        for layer, skip in zip(self.decoder, reversed(skips), strict=True):
            x = self.segment(layer, x) + skip
        return 2 * torch.tanh(self.last(x))

    def transfer(self, target: Tensor, source: Tensor, attribute: str) -> Tensor:
        """The ``target``, ``[B, 3, H, W]`` in [-1, 1], with ``attribute`` as the ``source`` has it."""
        own, skips = self.encode(target)
        codes, _ = self.swap(own, self.encode(source)[0], attribute)
        return (target + self.decode(codes, own, skips)).clamp(-1, 1)

    def forward(self, a: Tensor, b: Tensor, attribute: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``A', B', C, D``: both faces from their own codes, ``a`` with b's attribute, ``b`` with a's."""
        images = torch.cat([a, b])
        own, skips = self.encode(images)
        swapped = torch.cat(self.swap(*own.chunk(2), attribute))
        residual = self.decode(torch.cat([own, swapped]), own.repeat(2, 1, 1, 1), [s.repeat(2, 1, 1, 1) for s in skips])
        return (images.repeat(2, 1, 1, 1) + residual).clamp(-1, 1).chunk(4)


@NETWORKS.register
class ElegantDiscriminator(nn.Module):
    """Two discriminators of a picture with its labels, one at full size and one at half of it.

    Each: ``cat(image, labels as planes)``, four halvings ``64, 128, 256, 512``, and a linear layer over all of the map.

    Args:
        attributes: names of the A attributes, in the order of the labels.
        image_size: side of the pictures, a multiple of 32.
        width: channels of the first layer; they double per layer.
    """

    def __init__(self, attributes: Sequence[str] = ("Smiling",), image_size: int = 256, width: int = 64):
        super().__init__()
        if image_size < 32 or image_size % 32:
            raise ValueError(f"The discriminator takes pictures whose side is a multiple of 32, not {image_size}.")
        self.config = {"attributes": list(attributes), "image_size": image_size, "width": width}
        sizes = (image_size, image_size // 2)
        self.scales = nn.ModuleList(self._scale(3 + len(attributes), width, size) for size in sizes)
        _init_weights(self)

    @staticmethod
    def _scale(inputs: int, width: int, size: int) -> nn.Sequential:
        widths = [width * 2**k for k in range(4)]
        layers = [_halving(i, o) for i, o in pairwise([inputs, *widths])]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * (size // 16) ** 2, 1))

    def forward(self, image: Tensor, labels: Tensor) -> list[Tensor]:
        """``image [B, 3, S, S]``, ``labels [B, A]`` of 0 and 1 to logits ``[B]`` of each scale, positive if real."""
        x = torch.cat([image, as_planes(labels, image)], dim=1)
        full, half = self.scales
        return [full(x).flatten(), half(F.avg_pool2d(x, 2)).flatten()]


WEIGHT_DECAY = 1e-5


@SETTINGS.called("elegant")
@dataclass(frozen=True)
class ElegantSettings:
    """Of ELEGANT and its training."""

    attributes: tuple[str, ...] = ("Smiling",)  # those that the network can transfer; Smiling in Table 2
    width: int = 64  # 64
    latent: int = 512  # 512
    disc_width: int = 64  # 64
    batch: int = 16  # 16 pairs
    steps: int = 600_000  # 200,000 in the authors' code; here as many as the DMN's
    lr: float = 2e-4  # 2e-4, betas (0.5, 0.999)
    disc_lr: float = 2e-4  # 2e-4
    reconstruction_weight: float = 5.0  # 5


@STAGES.register
class ElegantStage(Stage):
    """For each attribute in turn, one update of the discriminators and one of encoder and decoder.

    Every face of the batch gets a partner, a face of the train split with the other label: the positive one of the two
    is A, the negative one B. ``TrainingError`` for faces that do not show the attributes both ways. Rates fall as in
    all stages, linearly; the authors take 0.97 times the rate every 3,000 steps.
    """

    name = settings = "elegant"
    averaged = ("elegant",)

    @classmethod
    def updates_per_step(cls, preset: Preset) -> int:
        """One for each attribute."""
        return len(preset.elegant.attributes)

    @classmethod
    def faces_per_step(cls, preset: Preset) -> int:
        """Those of the batch, and for each attribute a partner for each of them."""
        return preset.elegant.batch * (1 + len(preset.elegant.attributes))

    def __init__(self, preset: Preset, faces: PackedFaces):
        own = preset.elegant
        self.attributes = own.attributes
        self.labels = face_labels(faces, self.attributes)
        self.faces = faces
        train = faces.indices("train")
        positive = self.labels[train].numpy() > 0
        self.partners = [{1: train[~column], 0: train[column]} for column in positive.T]
        elegant = Elegant(self.attributes, own.width, own.latent)
        discriminator = ElegantDiscriminator(self.attributes, faces.size, own.disc_width)
        self.networks = {"elegant": elegant, "discriminator": discriminator}
        self.optimizers = {
            name: torch.optim.Adam(self.networks[name].parameters(), rate, BETAS, weight_decay=WEIGHT_DECAY)
            for name, rate in (("elegant", own.lr), ("discriminator", own.disc_lr))
        }
        self.reconstruction_weight = own.reconstruction_weight
        self.config = {"lr": own.lr, "disc_lr": own.disc_lr, "reconstruction weight": own.reconstruction_weight}

    def grown(
        self, sizes: Mapping[str, object], networks: Mapping[str, Weights]
    ) -> tuple[Mapping[str, object], Mapping[str, Weights]]:
        """From half the size: the discriminator at full size there is the one at half size here; the other is new."""
        name, full, half = "discriminator image_size", "scales.0.", "scales.1."
        size, weights = self.sizes()[name], self.networks["discriminator"].state_dict()
        if 2 * sizes.get(name, 0) != size:
            return sizes, networks
        for key, value in networks["discriminator"].items():
            if key.startswith(full):
                weights[half + key.removeprefix(full)] = value
        return {**sizes, name: size}, {**networks, "discriminator": weights}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """For every attribute one update of the discriminators, then one of encoder and decoder; returns the means."""
        return mean([self.step_for(place, batches, accelerator) for place in range(len(self.attributes))])

    def step_for(self, place: int, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """Both updates for the attribute at ``place``."""
        judge = accelerator.unwrap_model(self.networks["discriminator"])
        parts, once = len(batches), len(batches) == 1
        # In one part, the pictures serve both updates. In several, memory holds the graph of one at a time.
        with torch.set_grad_enabled(once):
            made = [self.exchange(batch, place) for batch in batches]
        losses = (self.discriminator_loss(*own, place) for own in made)
        on_made = self.update(["discriminator"], losses, parts, accelerator)

        judge.requires_grad_(False)
        again = made if once else (self.exchange(batch, place) for batch in batches)
        losses = (self.generator_loss(*own, place, judge) for own in again)
        logged = self.update(["elegant"], losses, parts, accelerator)
        judge.requires_grad_(True)
        return on_made | logged

    def pair(self, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        """A, then B: faces with the attribute at ``place`` and without, ``[2B, 3, S, S]``, and the labels ``[2B, A]``.

        Who a face's partner is depends on seed, step and its place in the whole batch only.
        """
        own, image = self.labels[batch.index], batch.image
        positive = own[:, place] > 0
        share = uniform(batch, len(self.attributes), "cpu")[:, place]  # faces are chosen and read by the CPU
        pools = [self.partners[place][int(label)] for label in positive]
        partner = np.array([pool[pick(u, len(pool))] for pool, u in zip(pools, share, strict=True)])
        other = to_float_image(self.faces.images[partner], image.device).to(image.dtype)
        labels = _in_order(positive[:, None], own, self.labels[partner]).to(image.device)
        return _in_order(positive[:, None, None, None].to(image.device), image, other), labels

    def exchange(self, batch: Batch, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """A and B, ``[2B, ...]``, their labels, and A', B', C, D, ``[4B, ...]``, where C is A with B's attribute."""
        faces, labels = self.pair(batch, place)
        return faces, labels, torch.cat(self.networks["elegant"](*faces.chunk(2), self.attributes[place]))

    def discriminator_loss(self, faces: Tensor, labels: Tensor, pictures: Tensor, place: int) -> tuple[Tensor, Terms]:
        """``(L_D1 + L_D2 / 2) / 4``: A and B as real, C and D as made, each with the labels that it should have."""
        labels = torch.cat([labels, exchanged(labels, place)])
        made = pictures.chunk(2)[1].detach()
        logits = self.networks["discriminator"](torch.cat([faces, made]), labels)
        # Four groups of faces of one size: the mean over all is a quarter of the sum of their means.
        loss = weighed(logits, torch.arange(len(labels), device=faces.device) < len(faces))
        return loss, {"discriminator": loss}

    def generator_loss(
        self, faces: Tensor, labels: Tensor, pictures: Tensor, place: int, judge: nn.Module
    ) -> tuple[Tensor, Terms]:
        """``5 (MSE(A', A) + MSE(B', B)) + L_D1 + L_D2 / 2``, the latter of C and D as if they were real."""
        again, made = pictures.chunk(2)
        # Two groups of faces of one size: twice the mean over both is the sum of their means.
        reconstruction = 2 * F.mse_loss(again, faces)
        adversarial = 2 * weighed(judge(made, exchanged(labels, place)), torch.ones_like(labels[:, 0]))
        loss = self.reconstruction_weight * reconstruction + adversarial
        return loss, {"adversarial": adversarial, "reconstruction": reconstruction}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: for each attribute A, B, A with B's attribute, B with A's."""
        network, rows = networks["elegant"], []
        for place, attribute in enumerate(self.attributes):
            a, b = (faces[:8] for faces in self.pair(batch, place)[0].chunk(2))
            rows += [a, b, network.transfer(a, b, attribute), network.transfer(b, a, attribute)]
        return tile(to_uint8_image(torch.cat(rows)), len(rows[0]))


def weighed(logits: Sequence[Tensor], real: Tensor) -> Tensor:
    """``L_D1 + L_D2 / 2``, means of the cross-entropy of ``logits``, ``[N]`` at each scale, to 1 where ``real``."""
    full, half = (F.binary_cross_entropy_with_logits(scale, real.to(scale.dtype)) for scale in logits)
    return full + 0.5 * half


def _in_order(first: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Of each pair the one that is ``first``, ``own`` or ``other``, and after all of these the other ones."""
    return torch.cat([torch.where(first, own, other), torch.where(first, other, own)])


def exchanged(labels: Tensor, place: int) -> Tensor:
    """The labels ``[2B, A]`` of C and D from those of A and B: the one at ``place`` changes."""
    result = labels.clone()
    result[:, place] = 1 - labels[:, place]
    return result


def by_example(network: Elegant, request: Request) -> Tensor:
    """The target with the attribute as the source has it."""
    wish(network, request)
    return network.transfer(request.target, request.source, request.attribute)


PHASES = ("shipped-half", "shipped")
METHODS.register(Method("ELEGANT", Elegant, "elegant", by_example, tasks=(TRANSFER,), place=1, phases=PHASES))
