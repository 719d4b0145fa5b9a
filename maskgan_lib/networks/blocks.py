"""What several networks share: one-hot masks, AdaIN, residual blocks, the encoder-decoder, spectral normalisation."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES


def one_hot(mask: Tensor, num_classes: int = NUM_CLASSES, dtype: torch.dtype | None = None) -> Tensor:
    """One-hot planes of label maps: integer ``[B, H, W]`` to ``dtype [B, num_classes, H, W]``, on the mask's device.

    Without ``dtype`` they are of PyTorch's default type.

    A pixel with ``IGNORE_ID`` becomes zero in all planes. Any other id outside ``0 ... num_classes - 1`` is a
    ``ValueError`` where looking at the values is cheap (CPU); on an accelerator, where it would stall the queue, such a
    pixel becomes zero too.
    """
    if mask.dim() != 3 or mask.is_floating_point() or mask.dtype == torch.bool:
        raise ValueError(f"A mask must be integer ids [B, H, W], not {mask.dtype} {list(mask.shape)}.")
    if mask.device.type == "cpu":
        unknown = ((mask < 0) | (mask >= num_classes)) & (mask != IGNORE_ID)
        if unknown.any():
            worst = int(mask[unknown][0])
            raise ValueError(
                f"The mask holds the id {worst}; only 0 ... {num_classes - 1} and {IGNORE_ID} (ignore) are known."
            )
    ids = torch.arange(num_classes, dtype=mask.dtype, device=mask.device)
    return (mask[:, None] == ids[:, None, None]).to(dtype or torch.get_default_dtype())


def check_size(images: Tensor, multiple: int, smallest: int, network: str) -> None:
    """``ValueError`` unless height and width are multiples of ``multiple`` and at least ``smallest`` pixels."""
    height, width = images.shape[-2:]
    if height % multiple or width % multiple or min(height, width) < smallest:
        raise ValueError(
            f"{network} takes heights and widths from {smallest} pixels up that are multiples of {multiple}, "
            f"not {height} x {width}."
        )


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """``ValueError`` unless ``value``, which is called ``what``, is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {value!r}.")


def layers_to_draw(network: nn.Module, kinds: type | tuple[type, ...]) -> list[nn.Module]:
    """The layers of these ``kinds``; none on the meta device: drawing there would import PyTorch's compiler."""
    return [m for m in network.modules() if isinstance(m, kinds) and not m.weight.is_meta]


def init_convolutions(network: nn.Module, he: bool = False) -> None:
    """Draw the weights of every ``Conv2d`` from N(0, 0.02), as the authors do, or from He's N(0, 2 / fan_in).

    Biases, and the transposed convolutions with them, keep PyTorch's default.
    """
    for layer in layers_to_draw(network, nn.Conv2d):
        if he:
            nn.init.kaiming_normal_(layer.weight)
        else:
            nn.init.normal_(layer.weight, 0.0, 0.02)


def positional_norm(features: Tensor) -> Tensor:
    """Positional normalisation (Li et al., NeurIPS 2019): every place by mean and deviation of its own channels.

    ``[B, C, H, W]`` to the same. Instance normalisation looks at the whole picture, so that an edit changes all of it
    a little; here what lies beyond the reach of the convolutions stays as it was, to the last bit.
    """
    return F.layer_norm(features.movedim(1, -1), features.shape[1:2]).movedim(-1, 1)


NORMS = {"instance": F.instance_norm, "positional": positional_norm}
"""What the features of a generator are normalised by: both without parameters."""


class AdaIN(nn.Module):
    """Adaptive instance normalisation (Eq. 2), its parameters an argument: ``weight * (z - mean(z)) / std(z) + bias``.

    Mean and (biased) variance are taken over the pixels of each channel of each sample, or as another one of ``NORMS``
    takes them. ``weight`` is used raw, without an added 1. The layer owns no parameters and keeps no state.
    """

    def __init__(self, channels: int, norm: str = "instance"):
        super().__init__()
        self.channels, self.norm = channels, NORMS[norm]

    def forward(self, features: Tensor, parameters: Tensor) -> Tensor:
        """``features [B, C, H, W]``, ``parameters [B, 2C]`` or, for every place, ``[B, 2C, H, W]``.

        The biases come first, then the weights.

        A batch of 1 on either side is shared by the whole batch of the other.
        """
        bias, weight = (parameters if parameters.dim() == 4 else parameters[:, :, None, None]).chunk(2, dim=1)
        return torch.addcmul(bias, self.norm(features), weight)


class ResidualBlock(nn.Module):
    """``x + norm(conv(relu(norm(conv(x)))))``: 3x3, reflect padding, no activation after the sum.

    ``adaptive`` blocks normalise with AdaIN and need ``parameters [B, 4C]`` or ``[B, 4C, H, W]`` (two layers of 2C);
    the others use plain instance normalisation, whatever ``norm``, and take none.
    """

    def __init__(self, channels: int, adaptive: bool, norm: str = "instance"):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.norm1 = AdaIN(channels, norm=norm) if adaptive else nn.InstanceNorm2d(channels)
        self.norm2 = AdaIN(channels, norm=norm) if adaptive else nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor, parameters: Tensor | None = None) -> Tensor:
        first, second = ((), ()) if parameters is None else [(p,) for p in parameters.chunk(2, dim=1)]
        y = F.relu(self.norm1(self.conv1(x), *first), inplace=True)
        return x + self.norm2(self.conv2(y), *second)


class Recomputing(nn.Module):
    """A network whose segments can forget their activations and compute them again on the way back, to save memory."""

    recompute = False

    def segment(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """``function(*inputs)``; with ``recompute``, only the inputs are kept for its gradient."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(function, *inputs, use_reentrant=False)
        return function(*inputs)


UPSAMPLINGS = ("transposed", "nearest")
"""How a picture is doubled in size: by the paper's transposed convolution, or nearest neighbour and a convolution."""


class NearestConv2d(nn.Conv2d):
    """Doubles height and width by nearest neighbour, then convolves 3x3 with zero padding.

    In the transposed convolution of the paper, 3x3 with stride 2, a pixel hears one, two or four inputs, by its place:
    a checkerboard from the first step on (Odena et al., Distill 2016). Here all hear alike. Both steps together are one
    transposed convolution with a 4x4 kernel, the sum of four shifted copies of this one: less than half the operations.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` to ``[B, outputs, 2H, 2W]``."""
        turned = self.weight.flip(2, 3).transpose(0, 1)
        kernel = sum(F.pad(turned, (right, 1 - right, down, 1 - down)) for right in (0, 1) for down in (0, 1))
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class SpectralConv2d(nn.Conv2d):
    """A convolution whose kernel, as a matrix ``[outputs, inputs * k * k]``, is divided by its largest singular value.

    Spectral normalisation (Miyato et al., ICLR 2018).

    The value is estimated by one power iteration per call. It starts from the buffer ``left``, an estimate of the left
    singular vector, which training moves on: a network in evaluation mode changes nothing and repeats itself. The
    length of ``left`` does not matter, so an average over steps will do as well.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.register_buffer("left", torch.ones(self.out_channels))

    def kernel(self) -> Tensor:
        """The normalised kernel; in training, the power iteration is kept."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.to(dtype).flatten(1)
            with torch.no_grad():
                right = F.normalize(matrix.T @ self.left.to(dtype), dim=0)
                left = F.normalize(matrix @ right, dim=0)
                if self.training:
                    self.left.copy_(left)
            return (self.weight / (left @ matrix @ right)).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` to ``[B, outputs, h, w]``."""
        return self._conv_forward(x, self.kernel(), self.bias)


class EncoderDecoder(Recomputing):
    """``c7s1-w, d2w, d4w ..., r ..., u ... u2w, uw, c7s1-out``: pix2pixHD's generator without its last activation.

    ``d`` are 3x3 convolutions of stride 2, ``u`` the ``upsampling``'s, ``r`` residual blocks. Normalisation, the one of
    ``NORMS`` that ``norm`` names, and ReLU follow every convolution but the last; ``adaptive`` makes the blocks' AdaIN.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        downsamplings: int,
        blocks: int,
        adaptive: bool,
        upsampling: str = "transposed",
        norm: str = "instance",
    ):
        super().__init__()
        check_choice("upsampling", upsampling, UPSAMPLINGS)
        widths = [width * 2**i for i in range(downsamplings + 1)]
        self.first = nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect")
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 3, stride=2, padding=1) for w in widths[:-1])
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1], adaptive, norm) for _ in range(blocks))
        self.up = nn.ModuleList(self._double(2 * w, w, upsampling) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, outputs, 7, padding=3, padding_mode="reflect")
        self.multiple = 2**downsamplings
        self.norm = NORMS[norm]

    @staticmethod
    def _double(inputs: int, outputs: int, upsampling: str) -> nn.Module:
        if upsampling == "nearest":
            return NearestConv2d(inputs, outputs)
        return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor, parameters: Tensor | None = None) -> Tensor:
        """``x [B, inputs, H, W]`` to ``[B, outputs, H, W]``; adaptive blocks need ``parameters [B, blocks * 4C]``.

        Parameters for every place are ``[B, blocks * 4C, h, w]``, at the size of the blocks.
        """
        slices = [None] * len(self.blocks) if parameters is None else parameters.chunk(len(self.blocks), dim=1)
        x = self.segment(self._encode, x)
        for block, own in zip(self.blocks, slices, strict=True):
            x = self.segment(block, x, own)
        return self.segment(self._decode, x)

    def _encode(self, x: Tensor) -> Tensor:
        for convolution in (self.first, *self.down):
            x = F.relu(self.norm(convolution(x)), inplace=True)
        return x

    def _decode(self, x: Tensor) -> Tensor:
        for convolution in self.up:
            x = F.relu(self.norm(convolution(x)), inplace=True)
        return self.last(x)
