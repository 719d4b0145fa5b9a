"""The networks against the paper's sizes and against their equations written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
from maskgan_lib.networks import (
    NETWORKS,
    AdaIN,
    AlphaBlender,
    DenseMappingNetwork,
    MaskVAE,
    MultiScaleDiscriminator,
    SFTLayer,
    SpatialAwareStyleEncoder,
    one_hot,
)

SMALL_DMN = {"width": 4, "downsamplings": 2, "blocks": 2, "style_width": 4}


def masks(count: int, height: int, width: int | None = None, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, NUM_CLASSES, (count, height, width or height), generator=generator, dtype=torch.uint8)
    return one_hot(ids)


def images(count: int, height: int, width: int | None = None, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width or height, generator=generator) * 2 - 1


def livelier(network: nn.Module, gain: float = 1.5) -> nn.Module:
    """Weights large enough that the outputs, near zero with the authors' initialisation, vary from input to input."""
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 10
        parameter.data = torch.randn(parameter.shape, generator=generator) * gain / fan_in**0.5
    return network.eval()


# One-hot


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.booleans())
def test_one_hot_says_for_each_pixel_which_class_it_is(count, height, width, seed, as_long):
    ids = np.random.default_rng(seed).choice([*range(NUM_CLASSES), IGNORE_ID], (count, height, width)).astype(np.uint8)
    planes = one_hot(torch.from_numpy(ids).long() if as_long else torch.from_numpy(ids))
    expected = np.stack([ids == c for c in range(NUM_CLASSES)], axis=1).astype(np.float32)
    assert planes.dtype == torch.float32
    np.testing.assert_array_equal(planes.numpy(), expected)


def test_one_hot_has_the_number_of_classes_and_the_type_asked_for():
    planes = one_hot(torch.tensor([[[0, 2]]]), num_classes=3, dtype=torch.bfloat16)
    assert planes.dtype == torch.bfloat16
    assert planes.tolist() == [[[[1, 0]], [[0, 0]], [[0, 1]]]]


@pytest.mark.parametrize("bad", [19, 100, 254, -1])
def test_one_hot_refuses_ids_that_no_class_has(bad):
    mask = torch.zeros(1, 4, 4, dtype=torch.long)
    mask[0, 1, 2] = bad
    with pytest.raises(ValueError, match=f"the id {bad};"):
        one_hot(mask)


@pytest.mark.parametrize("mask", [torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(1, 4, 4), torch.ones(1, 4, 4) > 0])
def test_one_hot_refuses_what_is_no_batch_of_label_maps(mask):
    with pytest.raises(ValueError, match="integer ids"):
        one_hot(mask)


# Sizes of the paper


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("DenseMappingNetwork", {}, 89_702_595),
        ("MaskVAE", {}, 170_619_571),
        ("AlphaBlender", {}, 4_329_443),
        ("MultiScaleDiscriminator", {}, 5_568_386),
        ("FaceParser", {}, 1_944_355),
        (
            "AttributeNet",
            {"attributes": ["an attribute"] * 1000},
            11_689_512,
        ),  # ResNet-18 with ImageNet's 1,000 answers
        # Pix2PixHD-m: less a label encoder of 252,768 and two SFT layers of four 64x64 1x1 convolutions each.
        ("DenseMappingNetwork", {"mask_branch": False}, 89_702_595 - 252_768 - 2 * 4 * (64 * 64 + 64)),
        # Its 7x7 convolution to 16 channels sees 19 planes more.
        (
            "DenseMappingNetwork",
            {"mask_branch": False, "concatenate": True},
            89_702_595 - 252_768 - 2 * 4 * (64 * 64 + 64) + 19 * 16 * 49,
        ),
    ],
)
def test_the_defaults_are_the_papers_networks(name, arguments, parameters):
    with torch.device("meta"):
        network = NETWORKS[name](**arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@torch.no_grad()
def test_the_discriminator_at_512_has_the_map_sizes_of_the_authors():
    scales = MultiScaleDiscriminator(num_classes=1, width=2)(torch.zeros(1, 1, 512, 512), torch.zeros(1, 3, 512, 512))
    assert [[m.shape[-1] for m in maps] for maps in scales] == [[257, 129, 65, 66, 67], [129, 65, 33, 34, 35]]
    assert [[m.shape[1] for m in maps] for maps in scales] == [[2, 4, 8, 16, 1]] * 2


@pytest.mark.parametrize("network", [DenseMappingNetwork, AlphaBlender, MultiScaleDiscriminator])
def test_convolutions_start_from_the_authors_distribution_and_transposed_ones_do_not(network):
    torch.manual_seed(0)
    for name, module in network(width=16).named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            he = name.startswith("style_encoder.")
            expected = (2 / module.weight[0].numel()) ** 0.5 if he else 0.02
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1), name
            assert module.weight.mean().abs() < 0.1 * expected, name
        if isinstance(module, nn.ConvTranspose2d):
            bound = (module.weight.shape[1] * 9) ** -0.5
            assert module.weight.abs().max().item() == pytest.approx(bound, rel=0.02), name


# AdaIN and SFT


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([(1, 1), (3, 3), (1, 3), (3, 1)]), st.integers(1, 4), st.integers(2, 5), st.integers(0, 2**31))
def test_adain_is_its_equation(batches, channels, size, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(2, 3, (batches[0], channels, size, size + 1))
    parameters = rng.normal(0, 1, (batches[1], 2 * channels))
    out = AdaIN(channels)(torch.from_numpy(z), torch.from_numpy(parameters)).numpy()
    assert len(out) == max(batches)
    for n in range(len(out)):
        for c in range(channels):
            plane = z[n % batches[0], c]
            bias, weight = parameters[n % batches[1], [c, channels + c]]
            mean = plane.sum() / plane.size
            variance = ((plane - mean) ** 2).sum() / plane.size
            np.testing.assert_allclose(out[n, c], weight * (plane - mean) / np.sqrt(variance + 1e-5) + bias, atol=1e-9)


def test_sft_scales_and_shifts_every_pixel_by_what_its_condition_says():
    torch.manual_seed(0)
    layer, features, condition = (
        SFTLayer(5).double(),
        torch.randn(2, 5, 3, 4).double(),
        torch.randn(2, 5, 3, 4).double(),
    )
    out = layer(features, condition)

    def transform(path: nn.Sequential, pixel: Tensor) -> Tensor:
        hidden = path[0].weight[:, :, 0, 0] @ pixel + path[0].bias
        hidden = torch.where(hidden > 0, hidden, 0.1 * hidden)
        return path[2].weight[:, :, 0, 0] @ hidden + path[2].bias

    for n, y, x in np.ndindex(2, 3, 4):
        pixel = condition[n, :, y, x]
        expected = features[n, :, y, x] * transform(layer.gamma, pixel) + transform(layer.beta, pixel)
        torch.testing.assert_close(out[n, :, y, x], expected)


# The Dense Mapping Network


@pytest.mark.parametrize("size", [(32, 32), (32, 48), (64, 64), (80, 48), (128, 128)])
@pytest.mark.parametrize("mask_branch, concatenate", [(True, False), (False, False), (False, True)])
def test_the_dmn_renders_any_size_from_32(size, mask_branch, concatenate):
    ways = {"mask_branch": mask_branch, "concatenate": concatenate}
    dmn = DenseMappingNetwork(width=2, downsamplings=4, blocks=1, style_width=2, **ways)
    mask, image = masks(2, *size), images(2, *size)
    style = dmn.encode_style(image, mask)
    assert style.shape == (2, 8)
    out = dmn.render(mask, style)
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1


def test_a_style_of_one_size_renders_at_another():
    dmn = DenseMappingNetwork(**SMALL_DMN)
    assert dmn(masks(1, 96), images(1, 32), masks(1, 32)).shape == (1, 3, 96, 96)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 64), (64, 30)])
def test_the_dmn_refuses_sizes_that_it_cannot_halve(height, width):
    dmn = DenseMappingNetwork(width=2, downsamplings=4, blocks=1, style_width=2)
    with pytest.raises(ValueError, match=f"multiples of 16, not {height} x {width}"):
        dmn.render(masks(1, height, width), torch.zeros(1, 8))


def test_the_style_encoder_refuses_what_it_cannot_read():
    encoder = SpatialAwareStyleEncoder(width=2)
    with pytest.raises(ValueError, match="from 32 pixels"):
        encoder(images(1, 24), masks(1, 24))
    with pytest.raises(ValueError, match="32 x 32, but there is a mask of 64 x 64"):
        encoder(images(1, 32), masks(1, 64))
    with pytest.raises(ValueError, match="there is no mask"):
        encoder(images(1, 32))


def test_forward_is_render_of_the_encoded_style():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN))
    mask, style_mask, image = masks(2, 32), masks(2, 32, seed=2), images(2, 32)
    assert torch.equal(dmn(mask, image, style_mask), dmn.render(mask, dmn.encode_style(image, style_mask)))


def test_one_style_serves_many_masks_and_one_mask_many_styles():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN))
    mask, style = masks(3, 32), torch.randn(3, 16)
    with torch.no_grad():
        for shared_mask, shared_style in ((mask[:1], style), (mask, style[:1])):
            together = dmn.render(shared_mask, shared_style)
            one_by_one = [
                dmn.render(shared_mask[n % len(shared_mask)][None], shared_style[n % len(shared_style)][None])
                for n in range(3)
            ]
            torch.testing.assert_close(together, torch.cat(one_by_one), atol=1e-5, rtol=0)
            assert (together[0] - together[1]).abs().max() > 0.01
    with pytest.raises(ValueError, match="3 masks and 2 styles"):
        dmn.render(mask, style[:2])


def test_mask_and_style_both_decide_on_the_picture():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN))
    with torch.no_grad():
        plain = dmn(masks(1, 32), images(1, 32), masks(1, 32))
        other_mask = dmn(masks(1, 32, seed=5), images(1, 32), masks(1, 32))
        other_image = dmn(masks(1, 32), images(1, 32, seed=5), masks(1, 32))
        other_style_mask = dmn(masks(1, 32), images(1, 32), masks(1, 32, seed=5))
    assert all((other - plain).abs().max() > 1e-3 for other in (other_mask, other_image, other_style_mask))


def test_without_the_mask_branch_the_style_is_read_off_the_image_alone():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN, mask_branch=False))
    image = images(1, 32)
    assert torch.equal(dmn.encode_style(image, masks(1, 32)), dmn.encode_style(image))
    assert dmn(masks(1, 32), image).shape == (1, 3, 32, 32)


def test_a_concatenated_mask_is_part_of_the_style():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN, mask_branch=False, concatenate=True))
    image, mask = images(1, 32), masks(1, 32)
    assert (dmn.encode_style(image, mask) - dmn.encode_style(image, mask.flip(2))).abs().max() > 1e-4
    with pytest.raises(ValueError, match="but there is no mask"):
        dmn.encode_style(image)
    with pytest.raises(ValueError, match="choose one"):
        DenseMappingNetwork(**SMALL_DMN, concatenate=True)


def test_the_style_encoder_does_not_normalise_the_style_away():
    # Without biases every layer of the image branch is positively homogeneous (gamma depends on the mask alone, beta is
    # made zero), so a picture of twice the contrast has twice the code; behind a normalisation it would have the same.
    encoder = livelier(SpatialAwareStyleEncoder(width=4))
    for layer in (encoder.sft1, encoder.sft2):
        nn.init.zeros_(layer.beta[2].weight)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    image, mask = images(1, 32), masks(1, 32)
    code = encoder(image, mask)
    assert code.abs().max() > 0.01
    torch.testing.assert_close(encoder(2 * image, mask), 2 * code)


def test_from_the_first_step_the_style_differs_from_image_to_image():
    torch.manual_seed(0)
    dmn = DenseMappingNetwork(**SMALL_DMN)
    plain = torch.tensor([[-1.0, 0, 1], [1, 0, -1]])[:, :, None, None].expand(2, 3, 64, 64)
    style = dmn.encode_style(plain, masks(1, 64))
    assert (style[0] - style[1]).abs().mean() > 1e-2
    dmn.render(masks(1, 64), style).mean().backward()
    # Adam divides by the gradient's size plus 1e-8: a gradient below that hardly moves its weight.
    first = dmn.style_encoder.image_first[0].weight.grad
    assert first.abs().mean() > 1e-6


def test_every_parameter_of_the_dmn_gets_a_gradient():
    dmn = livelier(DenseMappingNetwork(**SMALL_DMN))
    dmn(masks(1, 32), images(1, 32), masks(1, 32, seed=3)).pow(2).mean().backward()
    # A bias ahead of an instance normalisation has the gradient zero: the mean takes it off again.
    assert not [name for name, p in dmn.named_parameters() if p.grad is None]
    weights = {name: p.grad.abs().max() for name, p in dmn.named_parameters() if name.endswith("weight")}
    assert not [name for name, largest in weights.items() if largest == 0]


def test_the_networks_run_in_mixed_precision():
    dmn, critic, vae = (
        DenseMappingNetwork(**SMALL_DMN),
        MultiScaleDiscriminator(width=4),
        MaskVAE(32, width=4, latent=8),
    )
    mask, image = masks(2, 32), images(2, 32)
    with torch.autocast("cpu", torch.bfloat16):
        out = dmn(mask, image, mask)
        scores = critic(mask, out)
        logits, _, _ = vae(mask, torch.randn(2, 8))
    (out.float().mean() + scores[0][-1].float().mean() + logits.float().mean()).backward()
    assert all(torch.isfinite(p.grad).all() for p in dmn.parameters())


# MaskVAE


@pytest.mark.parametrize(("size", "stages"), [(8, 1), (32, 3), (64, 4), (128, 5)])
def test_the_vae_has_as_many_stages_as_its_size_needs(size, stages):
    vae = MaskVAE(size, width=2, latent=6)
    assert sum(isinstance(m, nn.Conv2d) and m.stride == (2, 2) for m in vae.modules()) == stages
    logits, mu, logvar = vae(masks(2, size))
    assert logits.shape == (2, NUM_CLASSES, size, size)
    assert mu.shape == logvar.shape == (2, 6)


@torch.no_grad()
def test_the_vae_of_512_ends_in_2048_channels_of_4x4():
    with torch.device("meta"):
        assert MaskVAE().mu.in_features == 2048 * 4 * 4
    small = MaskVAE(num_classes=2, width=1, latent=4)
    assert small.down(torch.zeros(2, 2, 512, 512)).shape == (2, 64, 4, 4)
    assert small.decode(torch.zeros(2, 4)).shape == (2, 2, 512, 512)


@pytest.mark.parametrize("size", [4, 48, 100])
def test_the_vae_refuses_sizes_that_are_no_power_of_two(size):
    with pytest.raises(ValueError, match=f"not {size}"):
        MaskVAE(size)


def test_the_vae_samples_around_mu_by_the_standard_deviation():
    vae = livelier(MaskVAE(32, width=4, latent=8))
    mask, noise = masks(2, 32), torch.randn(2, 8)
    with torch.no_grad():
        mu, logvar = vae.encode(mask)
        assert logvar.std() > 0.05
        logits, mu_again, logvar_again = vae(mask, noise)
        assert torch.equal(mu, mu_again)
        assert torch.equal(logvar, logvar_again)
        torch.testing.assert_close(logits, vae.decode(mu + noise * torch.exp(logvar).sqrt()), atol=1e-5, rtol=1e-5)
        assert torch.equal(vae(mask)[0], vae.decode(mu))


# Blender, discriminator, parser


@pytest.mark.parametrize("alpha_channels", [1, 3])
def test_the_blend_lies_between_its_two_images_where_alpha_says(alpha_channels):
    blender = livelier(AlphaBlender(width=4, downsamplings=2, blocks=1, alpha_channels=alpha_channels))
    inter, outer = images(2, 16, 24), images(2, 16, 24, seed=2)
    with torch.no_grad():
        blend, alpha = blender(inter, outer)
    assert alpha.shape == (2, alpha_channels, 16, 24)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha.std() > 0.05
    torch.testing.assert_close(blend, alpha * inter + (1 - alpha) * outer, atol=1e-6, rtol=0)
    torch.testing.assert_close(blender(inter, inter)[0], inter)
    with pytest.raises(ValueError, match="multiples of 4"):
        blender(images(1, 18), images(1, 18))


def test_the_discriminator_judges_the_full_size_first_and_its_scores_are_linear():
    critic = livelier(MultiScaleDiscriminator(width=4, layers=2, scales=3))
    mask, image = masks(1, 32), images(1, 32)
    with torch.no_grad():
        scales = critic(mask, image)
        x = torch.cat((mask, image), 1)
        for discriminator, maps in zip(critic.scales, scales, strict=True):
            torch.testing.assert_close(maps, discriminator(x))
            last = discriminator[-1][0]
            torch.testing.assert_close(maps[-1], F.conv2d(maps[-2], last.weight, last.bias, padding=2))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert [len(maps) for maps in scales] == [4, 4, 4]
    assert [maps[0].shape[-1] for maps in scales] == [17, 9, 5]
    assert min(maps[-1].min() for maps in scales) < 0 < max(maps[-1].max() for maps in scales)


def test_a_score_of_the_discriminator_sees_a_patch_of_70_pixels():
    # Padding and normalisation aside: the pixels whose change can reach the score in the middle.
    critic = MultiScaleDiscriminator(num_classes=1, width=2, scales=1)
    for i, stage in enumerate(critic.scales[0]):
        critic.scales[0][i] = stage[0]
    nn.init.ones_(image := torch.zeros(1, 3, 160, 160))
    for parameter in critic.parameters():
        nn.init.constant_(parameter, 0.01)
    image.requires_grad_()
    score = critic(torch.zeros(1, 1, 160, 160), image)[0][-1]
    score[0, 0, score.shape[2] // 2, score.shape[3] // 2].backward()
    seen = image.grad[0, 0].nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [70, 70]
