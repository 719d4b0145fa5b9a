"""The networks against the papers' sizes, their properties, and what they refuse.

MaskGAN's are compared with a second writing of the authors' in test_authors.py, the others each in a file of its own.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_faces import images
from toy_networks import livelier, masks

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
from maskgan_lib.methods.attgan import AttGANDiscriminator
from maskgan_lib.methods.elegant import Elegant, ElegantDiscriminator
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.spade import SPADEEncoder, SPADEGenerator
from maskgan_lib.methods.stargan import StarGANDiscriminator, StarGANGenerator
from maskgan_lib.networks import (
    NETWORKS,
    AdaIN,
    AlphaBlender,
    DenseMappingNetwork,
    MaskVAE,
    MultiScaleDiscriminator,
    SpatialAwareStyleEncoder,
    one_hot,
)

SMALL_DMN = {"width": 4, "downsamplings": 2, "blocks": 2, "style_width": 4}
TWO = ("Male", "Smiling")


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


@pytest.mark.parametrize("bad", [19, 254, -1])
def test_one_hot_refuses_ids_that_no_class_has(bad):
    mask = torch.zeros(1, 4, 4, dtype=torch.long)
    mask[0, 1, 2] = bad
    with pytest.raises(ValueError, match=f"the id {bad};"):
        one_hot(mask)
    for wrong in (mask[0], mask.float(), mask > 0):
        with pytest.raises(ValueError, match="integer ids"):
            one_hot(wrong)


# Sizes of the paper


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        # ResNet-18 with ImageNet's 1,000 answers
        ("AttributeNet", {"attributes": ["an attribute"] * 1000}, 11_689_512),
        # Pix2PixHD-m: less a label encoder of 252,768 and two SFT layers of four 64x64 1x1 convolutions each.
        ("DenseMappingNetwork", {"mask_branch": False}, 89_702_595 - 252_768 - 2 * 4 * (64 * 64 + 64)),
        # Its 7x7 convolution to 16 channels sees 19 planes more.
        (
            "DenseMappingNetwork",
            {"mask_branch": False, "concatenate": True},
            89_702_595 - 252_768 - 2 * 4 * (64 * 64 + 64) + 19 * 16 * 49,
        ),
        # The others', in millions as their papers and codes have it.
        ("StarGANGenerator", {"attributes": ["an attribute"]}, 8.42),
        ("StarGANGenerator", {"attributes": ["an attribute"] * 13}, 8.46),
        ("StarGANDiscriminator", {"attributes": ["an attribute"] * 5}, 44.8),
        ("StarGANDiscriminator", {"attributes": ["an attribute"] * 5, "image_size": 256}, 44.9),
        ("SeCGANGenerator", {"attributes": ["an attribute"] * 13}, 8.46),
        ("SeCGANGenerator", {"attributes": ["an attribute"] * 13, "backbone": "attgan"}, 43.4),
        ("AttGANDiscriminator", {"attributes": ["an attribute"] * 13}, 44.7),
        ("Elegant", {}, 10.18),
        ("ElegantDiscriminator", {}, 3.27),
    ],
)
def test_the_defaults_are_the_papers_networks(name, arguments, parameters):
    with torch.device("meta"):
        network = NETWORKS[name](**arguments)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == parameters or round(count / 1e6, 2 if parameters < 40 else 1) == parameters


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


# AdaIN


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


# The Dense Mapping Network


@pytest.mark.parametrize(("height", "width"), [(32, 48), (80, 48), (128, 128)])
@pytest.mark.parametrize("mask_branch, concatenate", [(True, False), (False, False), (False, True)])
def test_the_dmn_renders_any_size_from_32_in_a_style_of_any(height, width, mask_branch, concatenate):
    ways = {"mask_branch": mask_branch, "concatenate": concatenate}
    dmn = livelier(DenseMappingNetwork(width=2, downsamplings=4, blocks=1, style_width=2, **ways))
    mask, style_mask, image = masks(2, height, width), masks(2, 64, seed=2), images(2, 64)
    style = dmn.encode_style(image, style_mask)
    out = dmn.render(mask, style)
    assert style.shape == (2, 8) and out.shape == (2, 3, height, width) and out.abs().max() <= 1
    assert torch.equal(dmn(mask, image, style_mask), out)


# What does not fit


def small_dmn(**settings) -> DenseMappingNetwork:
    return DenseMappingNetwork(width=2, downsamplings=4, blocks=1, style_width=2, **settings)


def small_spade() -> SPADEGenerator:
    return SPADEGenerator(width=2, mask_width=3, latent=5, bottom=1, style_size=16)


def small_stargan() -> StarGANGenerator:
    return StarGANGenerator(TWO, width=2, blocks=1)


REFUSED = [
    (lambda: small_dmn().render(masks(1, 16), torch.zeros(1, 8)), "multiples of 16, not 16 x 16"),
    (lambda: small_dmn().render(masks(1, 64, 30), torch.zeros(1, 8)), "multiples of 16, not 64 x 30"),
    (lambda: small_dmn().render(masks(3, 32), torch.zeros(2, 8)), "3 masks and 2 styles"),
    (lambda: DenseMappingNetwork(**SMALL_DMN, concatenate=True), "choose one"),
    (lambda: small_dmn().render(masks(1, 32), torch.zeros(1, 19, 24)), r"A global style .*not \['B', 19, 24\]"),
    (lambda: small_dmn(style="regional").render(masks(1, 32), torch.zeros(1, 8)), r"A regional .*not \['B', 8\]"),
    (lambda: SpatialAwareStyleEncoder(width=2)(images(1, 24), masks(1, 24)), "from 32 pixels"),
    (lambda: SpatialAwareStyleEncoder(width=2)(images(1), masks(1, 64)), "32 x 32, but there is a mask of 64 x 64"),
    (lambda: SpatialAwareStyleEncoder(width=2)(images(1)), "there is no mask"),
    *((lambda s=s: MaskVAE(s), f"powers of two from 8 up, not {s}") for s in (4, 48, 100)),
    (lambda: AlphaBlender(width=4, downsamplings=2)(images(1, 18), images(1, 18)), "multiples of 4"),
    (lambda: small_spade().render(masks(1, 96), torch.zeros(1, 5)), "of 32 or 64 .*, not 96 x 96"),
    (lambda: small_spade().render(masks(1, 32, 64), torch.zeros(1, 5)), "of 32 or 64 .*, not 32 x 64"),
    (lambda: small_spade().render(masks(2, 32), torch.zeros(3, 5)), "2 masks and 3 styles"),
    (lambda: SPADEEncoder(image_size=48), "power of two from 8 up, not 48"),
    (lambda: small_stargan()(images(2), torch.zeros(2, 1)), r"need labels \[2, 2\] for Male, Smiling, not \[2, 1\]"),
    (lambda: small_stargan()(images(2, 30), torch.zeros(2, 2)), "multiples of 4, not 30 x 30"),
    (lambda: StarGANDiscriminator(image_size=32, width=2)(images(1, 64)), "of 32 x 32 pixels, not 64 x 64"),
    (lambda: AttGANDiscriminator(image_size=4), "from 8 pixels a side up, not 4"),
    (lambda: SeCGANGenerator(TWO, "seg", width=2, blocks=1)(images(2), torch.zeros(2, 2)), "takes 12 planes, not 3"),
    (lambda: SeCGANGenerator(branch="both"), "branch must be one of rgb, seg, not 'both'"),
    (lambda: SeCGANGenerator(backbone="attgan", width=2)(images(2, 48), torch.zeros(2, 1)), "of 32, not 48 x 48"),
    (lambda: Elegant(width=1, latent=3).encode(images(1, 48)), "multiples of 32, not 48 x 48"),
    (lambda: Elegant(TWO, width=1, latent=3).group("Bald"), "transfers Male, Smiling, not 'Bald'"),
    (lambda: Elegant(TWO, latent=1), "code of 1 channels cannot be cut into 2 groups"),
    (lambda: ElegantDiscriminator(image_size=48), "side is a multiple of 32, not 48"),
]


@pytest.mark.parametrize(("attempt", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_does_not_fit_is_refused_in_a_sentence(attempt, said):
    with pytest.raises(ValueError, match=said):
        attempt()


# Mask and style


@pytest.mark.parametrize("make", [small_dmn, lambda: small_dmn(style="regional"), small_spade])
@torch.no_grad()
def test_one_style_serves_many_masks_and_one_mask_many_styles(make):
    network, mask, image = livelier(make()), masks(3, 32), images(3)
    style = network.encode_style(image, mask)
    for some, styles in ((mask[:1], style), (mask, style[:1])):
        pairs = zip(some.expand(3, -1, -1, -1), styles.expand(3, *style.shape[1:]), strict=True)
        alone = torch.cat([network.render(m[None], s[None]) for m, s in pairs])
        torch.testing.assert_close(network.render(some, styles), alone, rtol=0, atol=2e-4)
        assert (alone[0] - alone[1]).abs().max() > 2e-3
    edits = masks(6, 32, seed=4)  # a style is encoded once for both masks of a face
    apart = torch.cat([network(part, image, mask) for part in edits.chunk(2)])
    torch.testing.assert_close(network(edits, image, mask), apart, rtol=0, atol=2e-4)


def test_the_mask_is_part_of_the_style_as_the_network_is_told():
    image, mask = images(1, 32), masks(1, 32)
    alone = livelier(DenseMappingNetwork(**SMALL_DMN, mask_branch=False))
    assert torch.equal(alone.encode_style(image, mask), alone.encode_style(image))
    beside = livelier(DenseMappingNetwork(**SMALL_DMN, mask_branch=False, concatenate=True))
    assert (beside.encode_style(image, mask) - beside.encode_style(image, mask.flip(2))).abs().max() > 1e-4


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
    dmn, critic = DenseMappingNetwork(**SMALL_DMN), MultiScaleDiscriminator(width=4)
    vae = MaskVAE(32, width=4, latent=8)
    mask, image = masks(2, 32), images(2, 32)
    with torch.autocast("cpu", torch.bfloat16):
        out = dmn(mask, image, mask)
        scores = critic(mask, out)
        logits, _, _ = vae(mask, torch.randn(2, 8))
    (out.float().mean() + scores[0][-1].float().mean() + logits.float().mean()).backward()
    assert all(torch.isfinite(p.grad).all() for p in dmn.parameters())


# Blender, discriminator


@pytest.mark.parametrize("alpha_channels", [1, 3])
def test_the_blend_lies_between_its_two_images_where_alpha_says(alpha_channels):
    blender = livelier(AlphaBlender(width=4, downsamplings=2, blocks=1, alpha_channels=alpha_channels))
    inter, outer = images(2, 24)[..., :16, :], images(2, 24, seed=2)[..., :16, :]
    with torch.no_grad():
        blend, alpha = blender(inter, outer)
    assert alpha.shape == (2, alpha_channels, 16, 24)
    assert alpha.min() >= 0 and alpha.max() <= 1 and alpha.std() > 0.05
    torch.testing.assert_close(blend, alpha * inter + (1 - alpha) * outer, atol=1e-6, rtol=0)
    torch.testing.assert_close(blender(inter, inter)[0], inter)


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
