"""AttGAN (He et al., TIP 2019): attributes join the code of a face; the generator without its last activation."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from maskgan_lib.methods.stargan import TwoHeadedDiscriminator, as_planes
from maskgan_lib.networks.blocks import check_size
from maskgan_lib.registry import NETWORKS

HALVINGS = 5


class AttGANBackbone(nn.Module):
    """Encoder ``64, 128, 256, 512, 1024``, its code beside the condition as planes, decoder ``1024, 512, 256, 128``.

    All convolutions are 4x4 of stride 2, the decoder's transposed, without bias where batch normalisation follows;
    LeakyReLU 0.01 in the encoder, ReLU in the decoder. After the decoder's first layer comes a shortcut: the encoder's
    features of that size are put beside its own.

    ``width`` counts the channels of the first layer; the other arguments are those of ``StarGANBackbone``. Heights and
    widths are multiples of 32; others are a ``ValueError``.
    """

    def __init__(self, inputs: int, outputs: int, conditions: int, width: int = 64):
        super().__init__()
        widths = [width * 2**i for i in range(HALVINGS)]
        self.encoder = nn.ModuleList(
            self._layer(nn.Conv2d, i, o, nn.LeakyReLU(0.01, inplace=True)) for i, o in pairwise([inputs, *widths])
        )
        befores = [widths[-1] + conditions, widths[-1] + widths[-2], *widths[-2:1:-1]]
        self.decoder = nn.ModuleList(
            self._layer(nn.ConvTranspose2d, i, o, nn.ReLU(inplace=True)) for i, o in zip(befores, widths[:0:-1])
        )
        self.last = nn.ConvTranspose2d(widths[1], outputs, 4, stride=2, padding=1)

    @staticmethod
    def _layer(convolution: type[nn.Module], inputs: int, outputs: int, activation: nn.Module) -> nn.Sequential:
        resized = convolution(inputs, outputs, 4, stride=2, padding=1, bias=False)
        return nn.Sequential(resized, nn.BatchNorm2d(outputs), activation)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` and ``condition [B, conditions]`` to ``[B, outputs, H, W]``."""
        check_size(x, 2**HALVINGS, 2**HALVINGS, type(self).__name__)
        for layer in self.encoder:
            shortcut, x = x, layer(x)
        first, *others = self.decoder
        x = torch.cat([first(torch.cat([x, as_planes(condition, x)], dim=1)), shortcut], dim=1)
        for layer in others:
            x = layer(x)
        return self.last(x)


@NETWORKS.register
class AttGANDiscriminator(TwoHeadedDiscriminator):
    """Judges the whole picture: ``C64 ... C1024``, then two heads of a layer of 1024 units with ReLU and a linear one.

    The five 4x4 convolutions have affine instance normalisation, which one place alone could not take, and LeakyReLU
    0.01. The heads' layers have 16 times ``width`` units.
    """

    HALVINGS = HALVINGS

    def build(self, widths: Sequence[int], side: int, answers: int) -> None:
        layers = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += [convolution, nn.InstanceNorm2d(after, affine=True), nn.LeakyReLU(0.01, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        features, units = widths[-1] * side**2, 16 * widths[1]
        self.source, self.classes = (
            nn.Sequential(nn.Linear(features, units), nn.ReLU(inplace=True), nn.Linear(units, count))
            for count in (1, answers)
        )
