"""Presets: every size, width, count and rate of a run, the paper's value in a comment beside it.

The same code runs in all of them; only these numbers differ. ``smoke`` is for tests, ``laptop`` for two CPU cores,
``colab`` for one small GPU, ``paper`` is the paper's setting; ``laptop-long`` trains MaskGAN's networks ten times as
long as ``laptop``. Those called ``shipped`` and ``regional`` made the weights in ``data/pretrained``, whose ``make.sh``
says how.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

SMALLEST_SIZE = 32
"""Pixels a side: the style encoder halves five times."""


@dataclass(frozen=True)
class Proportions:
    """How often the networks halve a picture: the DMN, the blender, and each of the discriminator's scales."""

    downsamplings: int
    blender_downsamplings: int
    disc_layers: int


def proportions(size: int) -> Proportions:
    """The paper's proportions at ``size`` pixels: where it has them at 512, this is the paper.

    The blocks of the DMN see 32 to 63 places a side, and a quarter of the side below 128 pixels; those of the blender
    twice as many. A patch of the discriminator covers an eighth to a quarter of the picture's side from 128 pixels up,
    half of it at 64, where smaller patches were no better. ``ValueError`` for a size below 32 pixels, or one that
    cannot be halved so often: it names the next one that works.
    """
    downsamplings = _halvings(size)
    if size < SMALLEST_SIZE or size % 2**downsamplings:
        works = next(n for n in range(max(size, SMALLEST_SIZE), 2 * size + SMALLEST_SIZE) if n % 2 ** _halvings(n) == 0)
        raise ValueError(f"No network has the paper's proportions at {size} pixels a side: the next size is {works}.")
    return Proportions(downsamplings, downsamplings - 1, max(2, downsamplings - 1))


def _halvings(size: int) -> int:
    return max(2, int(math.log2(max(size, SMALLEST_SIZE) / 32)))


@dataclass(frozen=True)
class Preset:
    """Settings of the course and of the training stages. Defaults are the paper's, or the authors' code's."""

    name: str
    image_size: int = 512  # 512: the data set's images are 1024, its masks 512
    faces: int = 30_000  # 30,000 faces in CelebAMask-HQ; here: how many procedural faces the course renders

    vae_width: int = 32  # 32 channels after the first convolution, doubled at every stage
    vae_latent: int = 1024  # 1024
    vae_batch: int = 16  # 16
    vae_steps: int = 300_000  # not stated in the paper
    vae_lr: float = 2e-4  # not stated; pix2pixHD's
    kl_weight: float = 1e-5  # lambda_KL = 1e-5

    dmn_width: int = 64  # 64
    dmn_blocks: int = 4  # 4 residual blocks with AdaIN
    style_width: int = 16  # 16, so the style code has 64 numbers
    # How the style encoder sees the mask. "sft": the paper's; "concat": the ablation of its supplement; "none": its
    # baseline Pix2PixHD-m.
    style_mask: str = "sft"
    style: str = "global"  # the paper's one code; "regional": one for every class
    downsamplings: int = 0  # 4; 0: those that fit the size of the faces, 4 at 512
    upsampling: str = "transposed"  # transposed convolutions; "nearest": nearest neighbour and a convolution
    disc_width: int = 64  # 64
    disc_layers: int = 0  # 3; 0: those that fit the size of the faces, 3 at 512
    mismatch_weight: float = 0.0  # none; ours: how much of what is fake are photos with another face's mask
    r1_weight: float = 0.0  # none; ours: of the penalty on the discriminator's gradient at real pairs
    dmn_batch: int = 8  # 8
    dmn_steps: int = 600_000  # 100 + 100 epochs in the authors' code
    dmn_lr: float = 2e-4  # 2e-4 with betas (0.5, 0.999) in pix2pixHD; the paper's first stage is not stated
    feature_weight: float = 10.0  # lambda_feat = 10
    perceptual_weight: float = 10.0  # lambda_percept = 10
    perceptual: str = "vgg19"  # VGG-19; "edge-vgg16" needs a package, "random-pyramid" nothing
    gan_loss: str = "lsgan"  # the paper prints the log form ("vanilla"), the authors' code uses least squares

    ebst_batch: int = 8  # 8
    ebst_steps: int = 600_000  # 100 + 100 epochs in the authors' code; each updates the DMN twice
    ebst_lr: float = 5e-5  # 5e-5 in the authors' code; the paper says it is lowered
    lambda_inter: float = 2.5  # lambda_inter = 2.5: 40 % of the way to another mask, and 40 % away from it
    # "hard": the decoded masks' most likely classes, as in the authors' code; "soft": softmax. Over three seeds they
    # differed in what stays far from an edit only, in favour of hard ones.
    ebst_masks: str = "hard"
    blender_width: int = 32  # 32
    blender_downsamplings: int = 0  # 3; 0: those that fit the size of the faces, 3 at 512
    blender_blocks: int = 3  # 3

    spade_width: int = 64  # 64
    spade_mask_width: int = 128  # 128
    spade_latent: int = 256  # 256
    spade_bottom: int = 16  # 16 pixels a side for 512 ("normal" upsampling), 8 for 512 with "more"
    spade_style_size: int = 256  # 256: the encoder sees the image at this size
    spade_batch: int = 8  # as the DMN's
    spade_steps: int = 600_000  # as the DMN's; 50 epochs in the authors' code
    spade_lr: float = 1e-4  # 1e-4 with betas (0, 0.9), the discriminator learns four times as fast
    spade_disc_lr: float = 4e-4  # 4e-4
    spade_kl_weight: float = 0.05  # 0.05, times the divergence summed over the batch

    parser_width: int = 16  # 16
    parser_batch: int = 8  # 8
    parser_steps: int = 1_000_000  # up to 1,000,000 in the authors' code
    parser_lr: float = 2e-4  # 2e-4, betas (0.5, 0.999)
    # A pixel counts its class' share of all pixels to the power of minus this: 0 as in the authors' code; with 0.5 the
    # parser finds necklaces and earrings too.
    parser_balance: float = 0.0
    parser_classes: int = 19  # 19; 12: the merged classes of SeCGAN, for its parser P

    attribute_width: int = 64  # 64: ResNet-18
    attribute_batch: int = 32  # not stated
    attribute_steps: int = 100_000  # not stated
    attribute_lr: float = 1e-3  # not stated

    identity_width: int = 64  # ResNet-18; the paper's ArcFace is larger
    identity_embedding: int = 512  # 512 in ArcFace
    identity_margin: float = 0.5  # 0.5 radians in ArcFace
    identity_scale: float = 64.0  # 64 in ArcFace
    identity_batch: int = 64  # 512 in ArcFace
    identity_steps: int = 100_000  # not stated
    identity_lr: float = 1e-3  # ours, for Adam

    pose_width: int = 64  # ResNet-18; HopeNet is a ResNet-50
    pose_regression: float = 0.1  # ours: weight of the squared error in degrees beside the bins
    pose_batch: int = 32  # not stated
    pose_steps: int = 50_000  # not stated
    pose_lr: float = 1e-3  # ours

    # The net whose features ssFID is measured in; SeCGAN's authors do not say which theirs was. VICReg's values.
    selfsupervised_width: int = 64  # ResNet-18; ResNet-50 in VICReg
    selfsupervised_projection: int = 8192  # 8192
    selfsupervised_invariance_weight: float = 25.0  # 25
    selfsupervised_variance_weight: float = 25.0  # 25
    selfsupervised_covariance_weight: float = 1.0  # 1
    selfsupervised_batch: int = 256  # 2048
    selfsupervised_steps: int = 100_000  # 1000 epochs of ImageNet
    selfsupervised_lr: float = 1e-3  # ours, for Adam

    stargan_attributes: tuple[str, ...] = ("Smiling",)  # those that the network can change; Smiling in Table 2
    stargan_width: int = 64  # 64
    stargan_blocks: int = 6  # 6
    stargan_disc_width: int = 64  # 64
    stargan_critic_updates: int = 5  # 5 updates of the discriminator for one of the generator, which is a step
    stargan_batch: int = 80  # 5 times 16: every update of the discriminator sees faces of its own
    stargan_steps: int = 600_000  # 40,000 in the authors' code; here as many as the DMN's
    stargan_lr: float = 1e-4  # 1e-4, betas (0.5, 0.999)
    stargan_penalty_weight: float = 10.0  # lambda_gp = 10
    stargan_disc_class_weight: float = 1.0  # lambda_cls = 1
    stargan_class_weight: float = 1.0  # lambda_cls = 1
    stargan_cycle_weight: float = 10.0  # lambda_rec = 10
    stargan_identity_weight: float = 0.0  # none; ours: of faces that are asked for what they have

    elegant_attributes: tuple[str, ...] = ("Smiling",)  # those that the network can transfer; Smiling in Table 2
    elegant_width: int = 64  # 64
    elegant_latent: int = 512  # 512
    elegant_disc_width: int = 64  # 64
    elegant_batch: int = 16  # 16 pairs
    elegant_steps: int = 600_000  # 200,000 in the authors' code; here as many as the DMN's
    elegant_lr: float = 2e-4  # 2e-4, betas (0.5, 0.999)
    elegant_disc_lr: float = 2e-4  # 2e-4
    elegant_reconstruction_weight: float = 5.0  # 5

    # "secgan"; its baselines: "baseline", without masks, and "concat", the image's mask beside the image.
    secgan_variant: str = "secgan"
    secgan_backbone: str = "stargan"  # "stargan" and "attgan"
    secgan_attributes: tuple[str, ...] = (
        *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male"),
        *("Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young"),
    )  # these 13
    # From here on the paper states nothing: these are the backbones', for both branches.
    secgan_width: int = 64  # 64 in StarGAN and AttGAN
    secgan_blocks: int = 6  # 6 in StarGAN
    secgan_disc_width: int = 64  # 64 in StarGAN and AttGAN
    secgan_critic_updates: int = 5  # 5 in StarGAN and AttGAN, for one of the generators, which is a step
    secgan_batch: int = 80  # 5 times 16, StarGAN's; AttGAN's is 32
    secgan_steps: int = 600_000  # 40,000 in StarGAN's code; here as many as the DMN's
    secgan_lr: float = 1e-4  # 1e-4 in StarGAN, betas (0.5, 0.999)
    secgan_attgan_lr: float = 2e-4  # 2e-4 in AttGAN, the same betas
    secgan_penalty_weight: float = 10.0  # 10 in StarGAN and AttGAN
    secgan_disc_class_weight: float = 1.0  # 1 in StarGAN, of the sum over attributes
    secgan_attgan_disc_class_weight: float = 1.0  # 1 in AttGAN, of the mean over attributes
    secgan_class_weight: float = 1.0  # 1 in StarGAN, as above
    secgan_attgan_class_weight: float = 10.0  # 10 in AttGAN, as above
    secgan_reconstruction_weight: float = 10.0  # 10 in StarGAN, of its cycle
    secgan_attgan_reconstruction_weight: float = 100.0  # 100 in AttGAN
    secgan_consistency_weight: float = 1.0  # lambda_sc: ours

    decay_from: float = (
        0.5  # constant rate, then linear decay to zero from this share of the steps on (100 + 100 epochs)
    )
    ema_decay: float = 0.999  # ours: weights for inference are averaged over about 1,000 steps
    checkpoint_every: int = 1000
    sample_every: int = 1000
    log_every: int = 50

    def proportions(self, size: int) -> Proportions:
        """Those of ``proportions``, but for what this preset sets itself."""
        rule = proportions(size)
        return replace(rule, **{f.name: getattr(self, f.name) for f in fields(rule) if getattr(self, f.name)})


PAPER = Preset("paper")

COLAB = replace(
    PAPER,
    name="colab",
    image_size=256,
    faces=20_000,
    vae_latent=512,
    vae_steps=20_000,
    dmn_width=32,
    disc_width=64,
    dmn_steps=40_000,
    upsampling="nearest",  # ours, as the two below: data/pretrained/TUNING.md
    mismatch_weight=0.2,
    r1_weight=0.1,
    ebst_steps=10_000,
    spade_width=32,
    spade_mask_width=64,
    spade_latent=128,
    spade_bottom=8,
    spade_steps=40_000,
    parser_steps=20_000,
    attribute_steps=10_000,
    identity_steps=20_000,
    pose_steps=5_000,
    selfsupervised_projection=2048,
    selfsupervised_steps=10_000,
    stargan_width=32,
    stargan_steps=40_000,
    elegant_width=32,
    elegant_latent=256,
    elegant_steps=40_000,
    secgan_width=32,
    secgan_steps=40_000,
)

LAPTOP = replace(
    PAPER,
    name="laptop",
    image_size=64,
    faces=2000,
    vae_width=24,
    vae_latent=256,
    vae_batch=8,
    vae_steps=1000,
    vae_lr=1e-3,
    dmn_width=16,
    disc_width=16,
    dmn_batch=4,
    dmn_steps=1500,
    dmn_lr=5e-4,  # ours, for short runs, as the four below: data/pretrained/TUNING.md
    upsampling="nearest",
    mismatch_weight=0.2,
    r1_weight=0.1,
    perceptual_weight=30.0,  # ours, for the stand-in; 10 was tried, too
    perceptual="random-pyramid",
    ebst_batch=4,
    ebst_steps=150,
    ebst_lr=1e-4,  # ours: lowered too, but these runs are short
    blender_width=8,
    spade_width=16,
    spade_mask_width=32,
    spade_latent=64,
    spade_bottom=2,
    spade_style_size=64,
    spade_batch=4,
    spade_steps=1500,
    spade_lr=4e-4,  # ours, for short runs, as the two below: data/pretrained/TUNING.md says what else was tried
    spade_disc_lr=4e-4,
    spade_kl_weight=0.005,
    parser_steps=1500,
    parser_lr=2e-3,
    attribute_width=16,
    attribute_steps=1000,
    identity_width=16,
    identity_embedding=128,
    identity_margin=0.3,
    identity_scale=30.0,
    identity_steps=2000,
    pose_width=16,
    pose_steps=1000,
    selfsupervised_width=16,
    selfsupervised_projection=256,
    selfsupervised_batch=64,
    selfsupervised_steps=1000,
    stargan_width=16,
    stargan_disc_width=16,
    stargan_batch=20,
    stargan_steps=1500,
    stargan_lr=1e-3,  # ours, for short runs: data/pretrained/TUNING.md says what else was tried
    stargan_disc_class_weight=10.0,  # ours, as above: with 1 the label is not learnt by then
    stargan_class_weight=2.0,  # ours, as above: with 10 the label is met by a pattern, not by a smile
    stargan_cycle_weight=50.0,  # ours, as above
    stargan_identity_weight=50.0,  # ours, as above: with 0 colours are still lost by then
    elegant_width=16,
    elegant_latent=128,
    elegant_disc_width=16,
    elegant_batch=8,
    elegant_lr=1e-4,  # ours, for short runs: data/pretrained/TUNING.md says what else was tried
    elegant_disc_lr=1e-3,  # ours, as above
    elegant_steps=1500,
    secgan_attributes=(*PAPER.secgan_attributes, "Smiling"),  # ours too: the attribute of the paper's Table 2
    secgan_width=16,
    secgan_disc_width=16,
    secgan_critic_updates=2,  # ours, for short runs, as the seven below: data/pretrained/TUNING.md
    secgan_batch=16,
    secgan_lr=1e-3,
    secgan_attgan_lr=1e-3,
    secgan_disc_class_weight=3.0,
    secgan_attgan_disc_class_weight=30.0,
    secgan_attgan_class_weight=20.0,
    secgan_reconstruction_weight=100.0,
    secgan_steps=400,
    ema_decay=0.99,
    checkpoint_every=250,
    sample_every=250,
    log_every=10,
)

LAPTOP_LONG = replace(
    LAPTOP,
    name="laptop-long",
    faces=10_000,
    vae_steps=10_000,
    dmn_steps=15_000,
    ebst_steps=1500,
    ema_decay=0.998,
    checkpoint_every=1000,
    sample_every=1000,
    log_every=50,
)

# The paper's mask methods in these three are older than the rule of proportions, as what ships of them.
SHIPPED = replace(
    LAPTOP,
    name="shipped",
    image_size=128,
    faces=6000,
    downsamplings=4,
    blender_downsamplings=3,
    disc_layers=3,
    upsampling="transposed",
    mismatch_weight=0.0,
    r1_weight=0.0,
    dmn_lr=2e-4,
    vae_steps=4000,
    dmn_steps=2000,
    perceptual_weight=30.0,
    ebst_steps=1000,
    blender_width=16,
    spade_steps=2000,
    parser_batch=4,
    parser_steps=2400,
    attribute_steps=3000,
    identity_steps=6000,
    pose_steps=3000,
    stargan_steps=1000,
    elegant_steps=800,
    ema_decay=0.998,
    checkpoint_every=500,
    sample_every=500,
    log_every=25,
)

# First phases: at half the size a step costs a quarter.
SHIPPED_HALF = replace(
    SHIPPED,
    name="shipped-half",
    image_size=64,
    dmn_steps=7000,
    spade_steps=7000,
    stargan_steps=3000,
    elegant_steps=3000,
    secgan_steps=1500,
    selfsupervised_steps=2500,
    perceptual_weight=10.0,
)
# Last phases. The mask methods': less of the discriminator, whose texture is grain at this size. The parser's: more of
# the small parts.
SHIPPED_FINISH = replace(
    SHIPPED,
    name="shipped-finish",
    dmn_steps=1000,
    spade_steps=1000,
    perceptual_weight=100.0,
    parser_steps=4000,
    parser_balance=0.5,
)

# The network with a style for every region, in two phases: at half the size, then at the whole.
REGIONAL_HALF = replace(
    SHIPPED_HALF,
    name="regional-half",
    style="regional",
    downsamplings=0,
    blender_downsamplings=0,
    disc_layers=0,
    upsampling="nearest",
    mismatch_weight=0.2,
    r1_weight=0.1,
    dmn_lr=1e-3,
    dmn_steps=4000,
    perceptual="edge-vgg16",
    perceptual_weight=4.0,
)
REGIONAL = replace(REGIONAL_HALF, name="regional", image_size=128, dmn_steps=5000)

SMOKE = replace(
    LAPTOP,
    name="smoke",
    faces=64,
    vae_width=8,
    vae_latent=32,
    vae_steps=30,
    dmn_width=4,
    dmn_blocks=2,
    style_width=4,
    disc_width=8,
    dmn_steps=16,
    ebst_steps=8,
    blender_width=4,
    blender_blocks=1,
    spade_width=4,
    spade_mask_width=4,
    spade_latent=8,
    spade_bottom=1,
    spade_style_size=32,
    spade_steps=16,
    parser_width=4,
    parser_steps=16,
    attribute_width=4,
    attribute_batch=8,
    attribute_steps=16,
    identity_width=4,
    identity_embedding=8,
    identity_batch=8,
    identity_steps=16,
    pose_width=4,
    pose_batch=8,
    pose_steps=16,
    selfsupervised_width=4,
    selfsupervised_projection=16,
    selfsupervised_batch=8,
    selfsupervised_steps=16,
    stargan_width=4,
    stargan_blocks=2,
    stargan_disc_width=4,
    stargan_steps=16,
    elegant_width=4,
    elegant_latent=32,
    elegant_disc_width=4,
    elegant_steps=16,
    secgan_attributes=("Smiling",),
    secgan_width=4,
    secgan_blocks=2,
    secgan_disc_width=4,
    secgan_steps=16,
    ema_decay=0.9,
    checkpoint_every=10,
    sample_every=10,
    log_every=2,
)

PRESETS = {
    preset.name: preset
    for preset in (
        *(SMOKE, LAPTOP, LAPTOP_LONG, SHIPPED_HALF, SHIPPED, SHIPPED_FINISH, REGIONAL_HALF, REGIONAL),
        *(COLAB, PAPER),
    )
}


def changed(preset: Preset, settings: Sequence[str]) -> Preset:
    """``preset`` with other values of fields, each written ``field=value``; of a tuple's, commas part the values.

    The name says what was changed. ``ValueError`` for a field that there is not, or a value that is none of its kind.
    """
    values: dict[str, object] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or field not in _FIELDS:
            raise ValueError(f"Write a setting as field=value, the field one of {', '.join(_FIELDS)}; not {setting!r}.")
        kind = type(getattr(preset, field))
        try:
            values[field] = tuple(text.split(",")) if kind is tuple else kind(text)
        except ValueError as error:
            raise ValueError(f"{field} takes a number such as {getattr(preset, field)}, not {text!r}.") from error
    return replace(preset, **values, name=", ".join([preset.name, *settings]))


_FIELDS = [field.name for field in fields(Preset) if field.name != "name"]
