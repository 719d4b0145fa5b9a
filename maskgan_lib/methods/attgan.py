"""AttGAN (He et al., TIP 2019): attributes join the code of a face; the generator without its last activation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskgan_lib.methods.stargan import as_planes
from maskgan_lib.networks.blocks import check_size, check_square
from maskgan_lib.registry import NETWORKS

HALVINGS = 5


class AttGANBackbone(nn.Module):
    """Encoder ``64, 128, 256, 512, 1024``, its code beside the condition as planes, decoder ``1024, 512, 256, 128``.

    All convolutions are 4x4 of stride 2, the decoder's transposed, without bias where batch normalisation follows;
    LeakyReLU 0.01 in the encoder, ReLU in the decoder. After the decoder's first layer comes a shortcut: the encoder's
    features of that size are put beside its own.

    Args:
        inputs: channels of what is changed.
        outputs: channels of the result, to which no activation is applied.
        conditions: numbers of the condition.
        width: channels of the first layer; they double per layer.

    Sizes: heights and widths that are multiples of 32; others are a ``ValueError``.
    """

    def __init__(self, inputs: int, outputs: int, conditions: int, width: int = 64):
        super().__init__()
        widths = [width * 2**i for i in range(HALVINGS)]
        self.encoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.01, inplace=True),
            )
            for before, after in zip([inputs, *widths[:-1]], widths, strict=True)
        )
        befores = [widths[-1] + conditions, widths[-1] + widths[-2], *widths[-2:1:-1]]
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            )
            for before, after in zip(befores, widths[:0:-1], strict=True)
        )
        self.last = nn.ConvTranspose2d(widths[1], outputs, 4, stride=2, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` and ``condition [B, conditions]`` to ``[B, outputs, H, W]``."""
        check_size(x, 2**HALVINGS, 2**HALVINGS, type(self).__name__)
        for layer in self.encoder:
            shortcut, x = x, layer(x)
        first, *others = self.decoder
        x = first(torch.cat([x, as_planes(condition, x)], dim=1))
        x = torch.cat([x, shortcut], dim=1)
        for layer in others:
            x = layer(x)
        return self.last(x)


@NETWORKS.register
class AttGANDiscriminator(nn.Module):
    """Is it a photograph, and which attributes has it? ``C64 ... C1024``, then two heads that see the whole picture.

    Five 4x4 convolutions of stride 2 with affine instance normalisation and LeakyReLU 0.01; each head is a layer of
    1024 units with ReLU and a linear one. Pictures under 64 pixels get fewer convolutions, so that the last map has 2x2
    places or more: one place alone cannot be normalised.

    Args:
        attributes: names of the A attributes, in the order of the answers.
        image_size: side of the pictures.
        width: channels of the first layer; they double per layer. The heads' layers have 16 times as many units.
        inputs: channels of the pictures: 3, or the classes of masks.
    """

    def __init__(
        self, attributes: Sequence[str] = ("Smiling",), image_size: int = 128, width: int = 64, inputs: int = 3
    ):
        super().__init__()
        if image_size < 8:
            raise ValueError(f"The discriminator takes pictures from 8 pixels a side up, not {image_size}.")
        self.config = {"attributes": list(attributes), "image_size": image_size, "width": width, "inputs": inputs}
        widths = [width * 2**i for i in range(min(HALVINGS, image_size.bit_length() - 2))]
        layers: list[nn.Module] = []
        for before, after in zip([inputs, *widths[:-1]], widths, strict=True):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.InstanceNorm2d(after, affine=True),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features, units = widths[-1] * (image_size >> len(widths)) ** 2, 16 * width
        self.source, self.classes = (
            nn.Sequential(nn.Linear(features, units), nn.ReLU(inplace=True), nn.Linear(units, answers))
            for answers in (1, len(attributes))
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image [B, inputs, S, S]`` to scores ``[B, 1]``, linear, and logits ``[B, A]`` of attributes."""
        check_square(image, self.config["image_size"])
        features = self.layers(image)
        return self.source(features), self.classes(features)

    def scores(self, image: Tensor) -> Tensor:
        """The scores alone, for the gradient penalty: not ``forward``, to which autocast applies."""
        return self.source(self.layers(image))
