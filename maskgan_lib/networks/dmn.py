"""The Dense Mapping Network: a mask and the style of one image to a new image (section 3.2 of the paper)."""

import torch
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.networks.blocks import EncoderDecoder, check_size, init_convolutions

SMALLEST_STYLE_IMAGE = 32
"""Pixels: the five halvings of the style encoder leave one of them."""


class SFTLayer(nn.Module):
    """Spatial feature transform (Eq. 1): ``features * gamma(condition) + beta(condition)``, pixel by pixel.

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
        self.image_first = nn.Sequential(*self._stem(planes, width), nn.ReLU(inplace=True))
        self.concatenate = concatenate
        self.image_second = nn.Sequential(*self._tail(4 * width), nn.ReLU(inplace=True))
        self.mask_branch = mask_branch
        if mask_branch:
            self.mask_first = nn.Sequential(*self._stem(num_classes, width))
            # Not in place: what it reads is the first condition, which SFT reads too.
            self.mask_second = nn.Sequential(nn.ReLU(), *self._tail(4 * width))
            self.sft1 = SFTLayer(4 * width)
            self.sft2 = SFTLayer(4 * width)

    @staticmethod
    def _halve(inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, padding_mode="reflect")

    def _stem(self, inputs: int, width: int) -> list[nn.Module]:
        first = nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect")
        second, third = self._halve(width, 2 * width), self._halve(2 * width, 4 * width)
        return [first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), third]

    def _tail(self, channels: int) -> list[nn.Module]:
        first, second, third = (self._halve(channels, channels) for _ in range(3))
        return [first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), third]

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """``image [B, 3, H, W]`` in [-1, 1] and one-hot ``mask [B, classes, H, W]`` of at least 32 pixels a side."""
        check_size(image, 1, SMALLEST_STYLE_IMAGE, "The style encoder")
        if not self.mask_branch and not self.concatenate:
            return self.image_second(self.image_first(image)).mean((2, 3))
        if mask is None or mask.shape[-2:] != image.shape[-2:]:
            found = "no mask" if mask is None else f"a mask of {mask.shape[-2]} x {mask.shape[-1]}"
            raise ValueError(f"The style image is {image.shape[-2]} x {image.shape[-1]}, but there is {found}.")
        if self.concatenate:
            return self.image_second(self.image_first(torch.cat((image, mask), dim=1))).mean((2, 3))
        features = self.image_first(image)
        condition = self.mask_first(mask)
        features = self.image_second(self.sft1(features, condition))
        return self.sft2(features, self.mask_second(condition)).mean((2, 3))


class ImageGenerationBackbone(EncoderDecoder):
    """One-hot mask ``[B, classes, H, W]`` and AdaIN parameters to an image ``[B, 3, H, W]`` in [-1, 1]."""

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 64, downsamplings: int = 4, blocks: int = 4):
        super().__init__(num_classes, 3, width, downsamplings, blocks, adaptive=True)
        self.adain_parameters = blocks * 4 * width * 2**downsamplings

    def forward(self, mask: Tensor, parameters: Tensor) -> Tensor:
        """``parameters [B, adain_parameters]``: for each AdaIN layer in turn its biases, then its weights."""
        return torch.tanh(super().forward(mask, parameters))


class DenseMappingNetwork(nn.Module):
    """G_A of MaskGAN: ``render(mask, encode_style(image, style_mask))``. Masks are one-hot, images in [-1, 1].

    The style is one global code of ``4 * style_width`` numbers, which a linear map turns into the parameters of every
    AdaIN layer. A batch of 1, of masks or of styles, is shared by the whole batch of the other.

    Args:
        num_classes: planes of a mask.
        width: channels at full resolution; they double at each of the ``downsamplings`` halvings.
        blocks: residual blocks, at the lowest resolution.
        style_width: channels of the style encoder at full resolution.
        mask_branch: ``False`` gives Pix2PixHD-m, the paper's own baseline: the style is read off the image alone.
        concatenate: without the mask branch, the mask's planes are channels of the style image: the paper's ablation
            of SFT.

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
    ):
        super().__init__()
        self.config = {
            "num_classes": num_classes,
            "width": width,
            "downsamplings": downsamplings,
            "blocks": blocks,
            "style_width": style_width,
            "mask_branch": mask_branch,
            "concatenate": concatenate,
        }
        self.backbone = ImageGenerationBackbone(num_classes, width, downsamplings, blocks)
        self.style_encoder = SpatialAwareStyleEncoder(num_classes, style_width, mask_branch, concatenate)
        self.style_to_adain = nn.Conv2d(4 * style_width, self.backbone.adain_parameters, 1)
        # The authors' N(0, 0.02) everywhere would let no style through at first: twelve narrow layers without a
        # normalisation shrink every image to the same code, and the gradients fall below Adam's epsilon.
        init_convolutions(self.backbone)
        init_convolutions(self.style_to_adain)
        init_convolutions(self.style_encoder, he=True)

    def encode_style(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Style code ``[B, 4 * style_width]`` of an image and its own mask (not needed without the mask branch)."""
        return self.style_encoder(image, mask)

    def check(self, mask: Tensor) -> None:
        """``ValueError`` unless masks of this size, ``[..., H, W]``, can be rendered."""
        multiple = self.backbone.multiple
        check_size(mask, multiple, max(SMALLEST_STYLE_IMAGE, 2 * multiple), type(self).__name__)

    def condition(self, style: Tensor) -> Tensor:
        """What the backbone takes beside the mask: for styles ``[B, 4 * style_width]`` all parameters of AdaIN."""
        style = style.to(self.style_to_adain.weight.dtype)
        return self.style_to_adain(style[:, :, None, None]).flatten(1)

    def render(self, mask: Tensor, style: Tensor) -> Tensor:
        """Image ``[B, 3, H, W]`` in [-1, 1] of a one-hot mask in a style."""
        self.check(mask)
        if len(mask) != len(style) and 1 not in (len(mask), len(style)):
            raise ValueError(f"{len(mask)} masks and {len(style)} styles: the numbers must agree, or one of them be 1.")
        return self.backbone(mask, self.condition(style))

    def forward(self, mask: Tensor, image: Tensor, style_mask: Tensor | None = None) -> Tensor:
        """``mask`` in the style of ``image``, whose own mask is ``style_mask``.

        There may be several masks for every image, first one for each image, then the second ones, and so on: a style
        is encoded once for all of them.
        """
        style = self.encode_style(image, style_mask)
        masks, rest = divmod(len(mask), len(style))
        return self.render(mask, style.repeat(masks, 1) if masks > 1 and not rest else style)
