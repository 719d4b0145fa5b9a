"""A style for every region, nearest neighbour and convolution, and proportions, against plain writings of them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_faces import images
from toy_networks import livelier, masks

from maskgan_lib.checkpoints import CheckpointError, authors_state
from maskgan_lib.networks import DenseMappingNetwork
from maskgan_lib.networks.blocks import NearestConv2d
from maskgan_lib.networks.dmn import RIDGE, spread
from maskgan_lib.presets import PRESETS, Proportions, changed, proportions

SMALL = {"num_classes": 19, "width": 4, "downsamplings": 2, "blocks": 2, "style_width": 2}


@pytest.fixture
def regional():
    return livelier(DenseMappingNetwork(**SMALL, style="regional"))


def blocks_of_classes(*rows: list[int]) -> torch.Tensor:
    """One-hot planes ``[1, 19, H, W]`` of a map of squares, 16 pixels each."""
    ids = torch.tensor(rows).repeat_interleave(16, 0).repeat_interleave(16, 1)
    return F.one_hot(ids, 19).permute(2, 0, 1)[None].float()


def places(height: int, width: int) -> np.ndarray:
    """Row and column of every place, from -1 to 1: ``[height, width, 2]``."""
    return np.stack(np.meshgrid(*[(2 * np.arange(n) + 1) / n - 1 for n in (height, width)], indexing="ij"), axis=-1)


@torch.no_grad()
def test_a_style_is_the_plane_through_the_features_of_its_class(regional):
    """A ridge regression of the features on row, and one on column, by a least-squares solver."""
    encoder, image, mask = regional.style_encoder, images(2, 64), masks(2, 64)
    mask[1, :, :32] = masks(1, 32, 64, seed=4)[0]
    styles = encoder(image, mask)
    assert styles.shape == (2, 19, 24)
    features = encoder.last(encoder.sft(encoder.image(image), encoder.mask(mask))).numpy()
    share = mask.numpy().reshape(2, 19, 16, 4, 16, 4).mean((3, 5))
    for face, k in ((0, 0), (1, 7), (1, 18)):
        weight, f = share[face, k].ravel(), features[face].reshape(8, -1)
        code = mean = f @ weight / weight.sum()
        for axis, slope in enumerate(styles[face, k].reshape(3, 8)[1:]):
            place = places(16, 16)[..., axis].ravel()
            place -= (centre := place @ weight / weight.sum())
            x = np.append(np.sqrt(weight) * place, np.sqrt(RIDGE * weight.sum()))[:, None]
            y = np.append(np.sqrt(weight) * (f - mean[:, None]), np.zeros((8, 1)), axis=1).T
            expected = np.linalg.lstsq(x, y, rcond=None)[0][0]
            np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-5)
            code = code - centre * expected
        np.testing.assert_allclose(styles[face, k, :8], code, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_half_precision_keeps_the_slope_of_a_small_region(regional):
    encoder, image, mask = regional.style_encoder, images(1, 64), torch.zeros(1, 19, 64, 64)
    mask[:, 1] = 1
    mask[..., 40:44, 40:44] = F.one_hot(torch.tensor(5), 19)[:, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(image, mask)
    full = encoder(image, mask)
    assert (half - full).abs().max() < 0.02 * full.abs().max()


@torch.no_grad()
def test_a_class_that_the_photo_lacks_has_the_learnt_code(regional):
    mask = blocks_of_classes([0, 1], [1, 17])
    codes = regional.encode_style(images(1, 32), mask)
    flat = F.pad(regional.style_encoder.missing, (0, 16))
    for k in range(19):
        assert torch.equal(codes[0, k], flat[k]) == (k not in (0, 1, 17))
    without = torch.zeros(1, 19, dtype=torch.bool)
    without[0, 1] = True
    left_out = regional.encode_style(images(1, 32), mask, without)
    assert torch.equal(left_out[0, 1], flat[1])
    assert torch.equal(left_out[0, [0, 17]], codes[0, [0, 17]])


@torch.no_grad()
def test_every_place_takes_the_parameters_of_its_class():
    mask, parameters = masks(2, 8, 12), torch.randn(2, 19, 3, 6)
    for width in (12, 6, 3):
        side = 12 // width
        maps = spread(parameters, F.avg_pool2d(mask, side))
        assert maps.shape == (2, 6, 8 // side, width)
        for n, y, x in np.ndindex(2, 8 // side, width):
            place = mask[n, :, side * y : side * (y + 1), side * x : side * (x + 1)]
            here = torch.tensor([1, *places(8 // side, width)[y, x]], dtype=torch.float)
            expected = sum(place[k].mean() * here @ parameters[n, k] for k in range(19))
            torch.testing.assert_close(maps[n, :, y, x], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_backbone_is_its_layers_in_turn(regional):
    """Every AdaIN takes, at a place, the weight and bias of the classes there; the codes have no slopes here."""
    backbone, codes, mask = regional.backbone, torch.randn(2, 19, 8), masks(2, 32)
    made, x = regional.render(mask, F.pad(codes, (0, 16))), mask
    parameters = list(regional.style_to_adain(codes.transpose(1, 2)[..., None]).split(4, dim=1))

    def take(channels: int) -> torch.Tensor:
        return torch.cat([parameters.pop(0) for _ in range(channels // 4)], dim=1)

    def styled(z: torch.Tensor) -> torch.Tensor:
        share = F.adaptive_avg_pool2d(mask, z.shape[-2:])
        bias, weight = (torch.einsum("bckx,bkhw->bchw", take(z.shape[1]), share) for _ in range(2))
        return weight * positional(z) + bias

    for layer in (backbone.first, *backbone.down):
        x = positional(layer(x)).relu()
    for block in backbone.blocks:
        x = x + styled(block.conv2(styled(block.conv1(x)).relu()))
    for layer in backbone.up:
        x = styled(layer(x)).relu()
    assert not parameters
    torch.testing.assert_close(made, backbone.last(x).tanh(), rtol=1e-3, atol=1e-4)


def positional(z: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 over the channels of every place."""
    return (z - z.mean(1, keepdim=True)) / (z.var(1, correction=0, keepdim=True) + 1e-5).sqrt()


@torch.no_grad()
def test_an_edit_does_not_reach_what_is_far(regional):
    """Beyond the convolutions' reach nothing changes, not by one bit; a global network changes everywhere a little."""
    mask, codes = masks(1, 32, 160), torch.randn(1, 19, 24)
    edited = mask.clone()
    edited[..., :8] = masks(1, 32, 8, seed=9)
    change = (regional.render(edited, codes) - regional.render(mask, codes)).abs().amax((0, 1, 2))
    assert change[:8].max() > 0.01 and change[100:].max() == 0
    paper = livelier(DenseMappingNetwork(**SMALL))
    change = (paper.render(edited, codes[:, 0, :8]) - paper.render(mask, codes[:, 0, :8])).abs().amax((0, 1, 2))
    assert change[100:].min() > 0


def test_it_starts_from_plain_normalisation():
    network = DenseMappingNetwork(**SMALL, style="regional")
    layers = [network.backbone.blocks[0].norm1, network.backbone.adain[0], network.backbone.adain[1]]
    assert [layer.channels for layer in layers] == [16, 8, 4]
    bias = network.style_to_adain.bias
    assert len(bias) == network.backbone.adain_parameters == 4 * 2 * 16 + 2 * 8 + 2 * 4
    assert bias[:32].tolist() == [0] * 16 + [1] * 16 and bias[-8:].tolist() == [0] * 4 + [1] * 4


def test_the_code_of_a_missing_class_learns(regional):
    mask = blocks_of_classes([0, 1], [1, 17])
    without = torch.zeros(1, 19, dtype=torch.bool)
    without[0, 17] = True
    regional(mask, images(1, 32), mask, without).square().mean().backward()
    gradient = regional.style_encoder.missing.grad.abs().sum(dim=1)
    assert [k for k in range(19) if gradient[k] > 0] == [17]


@settings(deadline=None, max_examples=25)
@given(*[st.integers(1, 5)] * 4, st.integers(0, 2**31))
def test_nearest_neighbour_and_convolution_in_one(inputs, outputs, height, width, seed):
    torch.manual_seed(seed)
    layer, x = NearestConv2d(inputs, outputs), torch.randn(2, inputs, height, width)
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = F.conv2d(doubled, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_at_512_the_proportions_are_the_papers():
    assert proportions(512) == Proportions(downsamplings=4, blender_downsamplings=3, disc_layers=3)
    assert DenseMappingNetwork().config["downsamplings"] == PRESETS["paper"].proportions(512).downsamplings


@given(st.integers(1, 2048))
def test_a_size_that_the_rule_cannot_serve_names_the_next(size):
    try:
        rule = proportions(size)
    except ValueError as error:
        works = int(str(error).rstrip(".").split()[-1])
        proportions(works)
        for smaller in range(size, works):
            with pytest.raises(ValueError):
                proportions(smaller)
    else:
        places = size / 2**rule.downsamplings
        assert places == int(places) and (32 <= places < 64 or size < 128)


def test_a_preset_may_say_otherwise():
    preset = changed(PRESETS["laptop"], ["downsamplings=4", "disc_layers=3"])
    assert preset.proportions(64) == Proportions(4, PRESETS["laptop"].proportions(64).blender_downsamplings, 3)


@pytest.mark.parametrize("ours", [{"style": "regional"}, {"upsampling": "nearest"}])
def test_the_authors_code_is_given_no_network_that_it_does_not_know(ours):
    with pytest.raises(CheckpointError, match=next(iter(ours.values()))):
        authors_state(DenseMappingNetwork(**SMALL, **ours))
