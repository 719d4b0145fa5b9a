"""The Dense Mapping Network: a mask and the style of one image to a new image (section 3.1 of the paper)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.networks.blocks import NORMS, AdaIN, EncoderDecoder, check_choice, check_size, init_convolutions

STYLES = ("global", "regional")

SMALLEST_STYLE_IMAGE = 32
"""Pixels: the five halvings of the style encoder leave one of them."""

RIDGE = 0.05
"""What is added to the variance of a region's places, so that a small region has a small slope: a picture's is 1/3."""


class SFTLayer(nn.Module):
    """Spatial feature transform: ``features * gamma(condition) + beta(condition)``, pixel by pixel.

    ``features`` and ``condition`` are ``[B, C, H, W]``; gamma and beta are two 1x1 convolutions each, gamma used raw.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = self._transform(channels)
        self.beta = self._transform(channels)

    @staticmethod
    def _transform(channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return torch.addcmul(self.beta(condition), features, self.gamma(condition))


def _halve(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, padding_mode="reflect")


def _stem(inputs: int, width: int) -> list[nn.Module]:
    """To ``4 * width`` planes at a quarter of the size."""
    first = nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect")
    second, third = _halve(width, 2 * width), _halve(2 * width, 4 * width)
    return [first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), third]


def _check_mask(image: Tensor, mask: Tensor | None) -> None:
    if mask is None or mask.shape[-2:] != image.shape[-2:]:
        found = "no mask" if mask is None else f"a mask of {mask.shape[-2]} x {mask.shape[-1]}"
        raise ValueError(f"The style image is {image.shape[-2]} x {image.shape[-1]}, but there is {found}.")


class SpatialAwareStyleEncoder(nn.Module):
    """An image and its mask to one global style code ``[B, 4 * width]``.

    The mask branch says, at 1/4 and at 1/32 of the size, where each class lies; SFT lets that scale and shift the
    image's features before they are pooled over the picture. There is no normalisation anywhere, which would remove
    the style.
    ``mask_branch=False`` leaves the mask and SFT out; ``concatenate=True`` then brings the mask back as planes beside
    the image's colours.
    """

    def __init__(
        self,
        num_classes: int = NUM_CLASSES,
        width: int = 16,
        mask_branch: bool = True,
        concatenate: bool = False,
    ):
        super().__init__()
        if mask_branch and concatenate:
            raise ValueError("The mask goes through its own branch or is concatenated: choose one.")
        planes = 3 + num_classes if concatenate else 3
        self.image_first = nn.Sequential(*_stem(planes, width), nn.ReLU(inplace=True))
        self.concatenate = concatenate
        self.image_second = nn.Sequential(*self._tail(4 * width), nn.ReLU(inplace=True))
        self.mask_branch = mask_branch
        if mask_branch:
            self.mask_first = nn.Sequential(*_stem(num_classes, width))
            # Not in place: what it reads is the first condition, which SFT reads too.
            self.mask_second = nn.Sequential(nn.ReLU(), *self._tail(4 * width))
            self.sft1 = SFTLayer(4 * width)
            self.sft2 = SFTLayer(4 * width)

    @staticmethod
    def _tail(channels: int) -> list[nn.Module]:
        first, second, third = (_halve(channels, channels) for _ in range(3))
        return [first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), third]

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """``image [B, 3, H, W]`` in [-1, 1] and one-hot ``mask [B, classes, H, W]`` of at least 32 pixels a side."""
        check_size(image, 1, SMALLEST_STYLE_IMAGE, "The style encoder")
        if not self.mask_branch and not self.concatenate:
            return self.image_second(self.image_first(image)).mean((2, 3))
        _check_mask(image, mask)
        if self.concatenate:
            return self.image_second(self.image_first(torch.cat((image, mask), dim=1))).mean((2, 3))
        features = self.image_first(image)
        condition = self.mask_first(mask)
        features = self.image_second(self.sft1(features, condition))
        return self.sft2(features, self.mask_second(condition)).mean((2, 3))


def _grid(planes: Tensor) -> Tensor:
    """Row and column of every place of ``[..., h, w]``, from -1 to 1: ``[2, h, w]``."""
    rows, columns = (
        torch.linspace(1 / n - 1, 1 - 1 / n, n, dtype=planes.dtype, device=planes.device) for n in planes.shape[-2:]
    )
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def _with_slopes(share: Tensor) -> Tensor:
    """``[B, classes, h, w]`` and its products with row and column, ``[B, 3, classes, h, w]``."""
    grid = _grid(share)
    return share[:, None] * torch.cat((torch.ones_like(grid[:1]), grid))[:, None]


class RegionalStyleEncoder(nn.Module):
    """An image and its mask to a style for every class: a code and its two slopes, ``[B, classes, 3 * 4 * width]``.

    After SEAN (Zhu et al., CVPR 2020), in MaskGAN's form: the paper's two branches and SFT down to a quarter of the
    size, two more convolutions there, and then, where the paper takes the mean over the whole picture and SEAN the mean
    over each class, the plane through the features of each class: at row ``y`` and column ``x``, both from -1 to 1,
    its style is ``code + y * slope_y + x * slope_x``. So one side of a background, or of a face, can be the lighter
    one. A class that the image lacks has a learnt code, ``missing``, the same at every place.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 16):
        super().__init__()
        channels = 4 * width
        self.image = nn.Sequential(*_stem(3, width), nn.ReLU(inplace=True))
        self.mask = nn.Sequential(*_stem(num_classes, width))
        self.sft = SFTLayer(channels)
        keep, relu = self._keep, nn.ReLU
        self.last = nn.Sequential(keep(channels), relu(inplace=True), keep(channels), relu(inplace=True))
        self.missing = nn.Parameter(torch.zeros(num_classes, channels))

    @staticmethod
    def _keep(channels: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, image: Tensor, mask: Tensor | None, without: Tensor | None = None) -> Tensor:
        """``image [B, 3, H, W]`` in [-1, 1] and its one-hot ``mask [B, classes, H, W]``, at least 32 pixels a side.

        ``without``, bool ``[B, classes]``, names classes to treat as if the image lacked them: how ``missing`` learns.
        """
        check_size(image, 1, SMALLEST_STYLE_IMAGE, "The style encoder")
        _check_mask(image, mask)
        features = self.last(self.sft(self.image(image), self.mask(mask)))
        share = F.adaptive_avg_pool2d(mask, features.shape[-2:])
        there = share.sum((2, 3)) > 0
        # The variance of a small region's places would be lost in half precision.
        with torch.autocast(image.device.type, enabled=False):
            codes = planes_through(features.float(), share.float()).flatten(2)
        missing = F.pad(self.missing.to(codes.dtype), (0, codes.shape[-1] - self.missing.shape[-1]))
        return torch.where((there if without is None else there & ~without)[..., None], codes, missing)


def planes_through(features: Tensor, share: Tensor) -> Tensor:
    """Code and slopes of every class, ``[B, classes, 3, C]``, of ``features [B, C, h, w]``.

    ``share [B, classes, h, w]`` says how much of a place is a class'. Ridge regression on row and on column, each by
    itself: a slope is the covariance of feature and place over the variance of the place and ``RIDGE``.
    """
    area = share.sum((2, 3)).clamp(min=1e-4)[..., None]
    mean, joint = (torch.einsum("bakhw,bchw->bkac", _with_slopes(share), features) / area[..., None]).split((1, 2), 2)
    centre, square = (torch.einsum("bkhw,ahw->bka", share, _grid(share) ** n) / area for n in (1, 2))
    slopes = (joint - centre[..., None] * mean) / (square - centre**2 + RIDGE)[..., None]
    return torch.cat((mean - (centre[..., None] * slopes).sum(2, keepdim=True), slopes), dim=2)


class ImageGenerationBackbone(EncoderDecoder):
    """One-hot mask ``[B, classes, H, W]`` and AdaIN parameters to an image ``[B, 3, H, W]`` in [-1, 1]."""

    def __init__(
        self,
        num_classes: int = NUM_CLASSES,
        width: int = 64,
        downsamplings: int = 4,
        blocks: int = 4,
        upsampling: str = "transposed",
        norm: str = "instance",
    ):
        super().__init__(num_classes, 3, width, downsamplings, blocks, adaptive=True, upsampling=upsampling, norm=norm)
        self.adain_parameters = blocks * 4 * width * 2**downsamplings

    def forward(self, mask: Tensor, parameters: Tensor) -> Tensor:
        """``parameters [B, adain_parameters]``: for each AdaIN layer in turn its biases, then its weights."""
        return torch.tanh(super().forward(mask, parameters))


class RegionalBackbone(EncoderDecoder):
    """The same from AdaIN parameters for every class, with their slopes: ``[B, classes, 3 * adain_parameters]``.

    Each place takes those of its class in the mask; one that several classes share, the mean of theirs. As in SEAN, the
    way back up is styled, too, where a region has its outline. With ``positional_norm`` no region hears of another but
    through the convolutions.
    """

    def __init__(self, num_classes: int, width: int, downsamplings: int, blocks: int, upsampling: str, norm: str):
        super().__init__(num_classes, 3, width, downsamplings, blocks, adaptive=True, upsampling=upsampling, norm=norm)
        widths = [width * 2**i for i in reversed(range(downsamplings))]
        self.adain = nn.ModuleList(AdaIN(w, norm=norm) for w in widths)
        self.parameters_of = [blocks * 4 * width * 2**downsamplings, *(2 * w for w in widths)]
        self.adain_parameters = sum(self.parameters_of)

    def forward(self, mask: Tensor, parameters: Tensor) -> Tensor:
        """``parameters``: for the blocks, then for the layers on the way up, each layer's biases, then its weights."""
        inner, *outer = parameters.unflatten(2, (3, -1)).split(self.parameters_of, dim=3)
        shares = [mask]
        for _ in self.up:
            shares.append(_half(shares[-1]))
        x, share = self.segment(self._encode, mask), shares.pop()
        for block, own in zip(self.blocks, inner.chunk(len(self.blocks), dim=3), strict=True):
            x = self.segment(self._refine, block, x, share, own)
        for convolution, adain, own in zip(self.up, self.adain, outer, strict=True):
            x = self.segment(self._grow, convolution, adain, x, shares.pop(), own)
        return torch.tanh(self.last(x))

    @torch.no_grad()
    def start_plain(self, bias: Tensor) -> None:
        """Fill ``bias``, the mean of all parameters: zero for AdaIN's biases and one for its weights."""
        layers = [layer for block in self.blocks for layer in (block.norm1, block.norm2)]
        parts = bias.split([layer.channels for layer in (*layers, *self.adain) for _ in range(2)])
        for shift, scale in zip(parts[::2], parts[1::2], strict=True):
            shift.zero_()
            scale.fill_(1)

    @staticmethod
    def _refine(block: nn.Module, x: Tensor, share: Tensor, parameters: Tensor) -> Tensor:
        return block(x, spread(parameters, share))

    @staticmethod
    def _grow(convolution: nn.Module, adain: AdaIN, x: Tensor, share: Tensor, parameters: Tensor) -> Tensor:
        return F.relu(adain(convolution(x), spread(parameters, share)), inplace=True)


def _half(share: Tensor) -> Tensor:
    """The means of 2 x 2 places, much faster on a CPU than ``avg_pool2d``."""
    left, right = share[..., ::2], share[..., 1::2]
    return (left[..., ::2, :] + left[..., 1::2, :] + right[..., ::2, :] + right[..., 1::2, :]) / 4


def spread(parameters: Tensor, share: Tensor) -> Tensor:
    """``[B, classes, 3, P]``, values and slopes, as maps ``[B, P, h, w]``: the mean over the classes of a place.

    ``share [B, classes, h, w]`` says how much of a place is a class'.
    """
    # The numbers of a place lie side by side, as positional_norm leaves them: mixed orders cost up to half of a render.
    maps = _with_slopes(share).flatten(1, 2).flatten(2).transpose(1, 2) @ parameters.transpose(1, 2).flatten(1, 2)
    return maps.unflatten(1, share.shape[2:]).movedim(-1, 1)


class DenseMappingNetwork(nn.Module):
    """G_A of MaskGAN: ``render(mask, encode_style(image, style_mask))``. Masks are one-hot, images in [-1, 1].

    The style is one code of ``4 * style_width`` numbers for the whole picture (``style="global"``, the paper's) or one
    for every class, with its slopes (``style="regional"``, after SEAN: see ``RegionalStyleEncoder``). A linear map
    turns a code into the parameters of every AdaIN layer. A batch of 1, of masks or of styles, is shared by the whole
    batch of the other.

    Args:
        num_classes: planes of a mask.
        width: channels at full resolution; they double at each of the ``downsamplings`` halvings.
        blocks: residual blocks, at the lowest resolution.
        style_width: channels of the style encoder at full resolution.
        mask_branch: ``False`` gives Pix2PixHD-m, the paper's own baseline: the style is read off the image alone.
        concatenate: without the mask branch, the mask's planes are channels of the style image: the paper's ablation
            of SFT.
        style: ``"global"`` or ``"regional"``, which needs the mask branch.
        upsampling: ``"transposed"``, the paper's, or ``"nearest"``: see ``NearestConv2d``.
        norm: what features are normalised by, one of ``NORMS``: by default ``"instance"``, the paper's, for a global
            style, ``"positional"`` for a regional one.

    Sizes: height and width from ``max(32, 2 * 2**downsamplings)`` up, multiples of ``2**downsamplings``; others are a
    ``ValueError``.
    """

    def __init__(
        self,
        num_classes: int = NUM_CLASSES,
        width: int = 64,
        downsamplings: int = 4,
        blocks: int = 4,
        style_width: int = 16,
        mask_branch: bool = True,
        concatenate: bool = False,
        style: str = "global",
        upsampling: str = "transposed",
        norm: str = "",
    ):
        super().__init__()
        check_choice("style", style, STYLES)
        if style == "regional" and not mask_branch:
            raise ValueError("A style for every region needs the mask branch.")
        norm = norm or {"global": "instance", "regional": "positional"}[style]
        check_choice("norm", norm, NORMS)
        self.config = {
            "num_classes": num_classes,
            "width": width,
            "downsamplings": downsamplings,
            "blocks": blocks,
            "style_width": style_width,
            "mask_branch": mask_branch,
            "concatenate": concatenate,
            "style": style,
            "upsampling": upsampling,
            "norm": norm,
        }
        regional = style == "regional"
        backbone = RegionalBackbone if regional else ImageGenerationBackbone
        self.backbone = backbone(num_classes, width, downsamplings, blocks, upsampling, norm)
        if regional:
            self.style_encoder = RegionalStyleEncoder(num_classes, style_width)
        else:
            self.style_encoder = SpatialAwareStyleEncoder(num_classes, style_width, mask_branch, concatenate)
        self.style_to_adain = nn.Conv2d(4 * style_width, self.backbone.adain_parameters, 1)
        # The authors' N(0, 0.02) everywhere would let no style through at first: twelve narrow layers without a
        # normalisation shrink every image to the same code, and the gradients fall below Adam's epsilon.
        init_convolutions(self.backbone)
        init_convolutions(self.style_to_adain)
        init_convolutions(self.style_encoder, he=True)
        if regional:
            self.backbone.start_plain(self.style_to_adain.bias)

    def encode_style(self, image: Tensor, mask: Tensor | None = None, without: Tensor | None = None) -> Tensor:
        """Style code of an image and its own mask (not needed without the mask branch), with any leading batch.

        ``[B, 4 * style_width]``, or ``[B, classes, 12 * style_width]`` if regional: only then may ``without`` be given.
        """
        return self.style_encoder(image, mask, *([] if without is None else [without]))

    def check(self, mask: Tensor) -> None:
        """``ValueError`` unless masks of this size, ``[..., H, W]``, can be rendered."""
        multiple = self.backbone.multiple
        check_size(mask, multiple, max(SMALLEST_STYLE_IMAGE, 2 * multiple), type(self).__name__)

    def condition(self, style: Tensor) -> Tensor:
        """What the backbone takes beside the mask, ``(x, y)`` of Eq. 1: AdaIN's parameters, one set or one per class.

        ``ValueError`` for a style of the other kind.
        """
        layer, regional = self.style_to_adain, self.config["style"] == "regional"
        shape = (self.config["num_classes"], 3 * layer.in_channels) if regional else (layer.in_channels,)
        if style.shape[1:] != shape:
            wanted, found = (["B", *shape], ["B", *style.shape[1:]])
            raise ValueError(f"A {self.config['style']} style is {wanted}, not {found}: encode it with this network.")
        style, weight = style.to(layer.weight.dtype), layer.weight.flatten(1)
        if not regional:
            return F.linear(style, weight, layer.bias)
        value, slopes = style.unflatten(2, (3, -1)).split((1, 2), dim=2)
        return torch.cat((F.linear(value, weight, layer.bias), F.linear(slopes, weight)), dim=2).flatten(2)

    def render(self, mask: Tensor, style: Tensor) -> Tensor:
        """Image ``[B, 3, H, W]`` in [-1, 1] of a one-hot mask in a style."""
        self.check(mask)
        if len(mask) != len(style) and 1 not in (len(mask), len(style)):
            raise ValueError(f"{len(mask)} masks and {len(style)} styles: the numbers must agree, or one of them be 1.")
        return self.backbone(mask, self.condition(style))

    def forward(
        self, mask: Tensor, image: Tensor, style_mask: Tensor | None = None, without: Tensor | None = None
    ) -> Tensor:
        """``mask`` in the style of ``image``, whose own mask is ``style_mask``.

        There may be several masks for every image, first one for each image, then the second ones, and so on: a style
        is encoded once for all of them.
        """
        style = self.encode_style(image, style_mask, without)
        masks, rest = divmod(len(mask), len(style))
        return self.render(mask, torch.cat([style] * masks) if masks > 1 and not rest else style)
