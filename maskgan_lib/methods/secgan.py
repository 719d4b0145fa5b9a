"""SeCGAN (Sun et al., 2021): generators of pictures and of masks that are told by how much attributes change.

The generator of pictures learns what an attribute changes together with that of masks. A fixed parser P reads the masks
off the pictures. It also ties the branches: what P sees in the picture that G_rgb made has to be the mask that G_seg
made, and the other way round. Only G_rgb is needed to change a face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import MERGED_CLASSES, colorize_merged
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.losses import reconstruction_loss
from maskgan_lib.methods.attgan import AttGANBackbone, AttGANDiscriminator
from maskgan_lib.methods.method import EDITING, TRANSFER, Method, Request, known, wish
from maskgan_lib.methods.stargan import StarGANBackbone, StarGANDiscriminator, check_labels
from maskgan_lib.methods.wgan import WassersteinStage, critic_terms, label_loss
from maskgan_lib.networks import one_hot
from maskgan_lib.networks.blocks import check_choice
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import Terms, TrainingError, tile

BACKBONES = ("stargan", "attgan")
BRANCHES = ("rgb", "seg")


@NETWORKS.register
class SeCGANGenerator(nn.Module):
    """G_rgb, from an image to an image (tanh), or G_seg, from the probabilities of classes to such (softmax).

    Both are told the difference of the attributes, ``y_trg - y_src``: 1 to give one, -1 to take it away, 0 to leave it.

    Args:
        attributes: names of the A attributes, in the order of the differences.
        branch: ``rgb`` or ``seg``.
        backbone: ``stargan`` or ``attgan``, whose layers these are.
        num_classes: the K classes of masks.
        concatenate: whether G_rgb sees the mask of its image too, as in the paper's baseline "Concat".
        width: channels of the first layer.
        blocks: residual blocks of the backbone ``stargan``; the other has none.

    Sizes: heights and widths that the backbone takes: multiples of 4, or of 32 with ``attgan``.
    """

    def __init__(
        self,
        attributes: Sequence[str] = ("Smiling",),
        branch: str = "rgb",
        backbone: str = "stargan",
        num_classes: int = len(MERGED_CLASSES),
        concatenate: bool = False,
        width: int = 64,
        blocks: int = 6,
    ):
        super().__init__()
        check_choice("branch", branch, BRANCHES)
        check_choice("backbone", backbone, BACKBONES)
        self.config = {"attributes": list(attributes), "branch": branch, "backbone": backbone}
        self.config |= {"num_classes": num_classes, "concatenate": concatenate, "width": width, "blocks": blocks}
        self.inputs = num_classes if branch == "seg" else 3 + concatenate * num_classes
        planes = (self.inputs, num_classes if branch == "seg" else 3, len(attributes), width)
        self.backbone = StarGANBackbone(*planes, blocks) if backbone == "stargan" else AttGANBackbone(*planes)

    def forward(self, x: Tensor, difference: Tensor) -> Tensor:
        """``x`` with the attributes changed by ``difference [B, A]``, -1, 0 or 1 each.

        ``x`` is an image ``[B, 3, H, W]`` in [-1, 1], with ``concatenate`` the K planes of its mask after it; in the
        branch ``seg`` it is ``[B, K, H, W]``, probabilities. The result is such an image, or such probabilities.
        """
        check_labels(difference, x, self.config["attributes"])
        if x.shape[1] != self.inputs:
            raise ValueError(f"This generator takes {self.inputs} planes, not {x.shape[1]}.")
        made = self.backbone(x, difference)
        return made.softmax(dim=1) if self.config["branch"] == "seg" else made.tanh()


VARIANTS = ("secgan", "baseline", "concat")
"""The paper's method; G_rgb and D_rgb alone; these two, with the mask of the image beside the image."""


def soft_cross_entropy(probabilities: Tensor, target: Tensor) -> Tensor:
    """SeCGAN's ``-1/HW sum target . log probabilities``, averaged over the batch too; both are ``[B, K, H, W]``."""
    # The smallest number keeps the logarithm finite where a softmax is so sure that its other classes become zero.
    smallest = torch.finfo(probabilities.dtype).tiny
    return -(target * probabilities.clamp(min=smallest).log()).sum(dim=1).mean()


@SETTINGS.called("secgan")
@dataclass(frozen=True)
class SeCGANSettings:
    """Of SeCGAN, its baselines and their training."""

    # "secgan"; its baselines: "baseline", without masks, and "concat", the image's mask beside the image.
    variant: str = "secgan"
    backbone: str = "stargan"  # "stargan" and "attgan"
    attributes: tuple[str, ...] = (
        *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male"),
        *("Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young"),
    )  # these 13
    # From here on the paper states nothing: these are the backbones', for both branches.
    width: int = 64  # 64 in StarGAN and AttGAN
    blocks: int = 6  # 6 in StarGAN
    disc_width: int = 64  # 64 in StarGAN and AttGAN
    critic_updates: int = 5  # 5 in StarGAN and AttGAN, for one of the generators, which is a step
    batch: int = 80  # 5 times 16, StarGAN's; AttGAN's is 32
    steps: int = 600_000  # 40,000 in StarGAN's code; here as many as the DMN's
    lr: float = 1e-4  # 1e-4 in StarGAN, betas (0.5, 0.999)
    attgan_lr: float = 2e-4  # 2e-4 in AttGAN, the same betas
    penalty_weight: float = 10.0  # 10 in StarGAN and AttGAN
    disc_class_weight: float = 1.0  # 1 in StarGAN, of the sum over attributes
    attgan_disc_class_weight: float = 1.0  # 1 in AttGAN, of the mean over attributes
    class_weight: float = 1.0  # 1 in StarGAN, as above
    attgan_class_weight: float = 10.0  # 10 in AttGAN, as above
    reconstruction_weight: float = 10.0  # 10 in StarGAN, of its cycle
    attgan_reconstruction_weight: float = 100.0  # 100 in AttGAN
    consistency_weight: float = 1.0  # lambda_sc: ours


@STAGES.register
class SeCGANStage(WassersteinStage):
    """Two branches, (G_rgb, D_rgb) on images and (G_seg, D_seg) on soft masks of 12 classes, with the same weights.

    ``L_D = L_adv + l_cls L_cls`` and ``L_G = L_adv + l_cls L_cls + l_rec L_rec + l_sc L_sc`` in each branch; what is
    logged of the second one is called ``seg ...``. The generators see the difference of the labels that are asked for
    and those of the face; none at all has to give back the face, or its mask.

    P is the ``parser``, whose weights stay as they are; the variant ``baseline`` does without. ``TrainingError`` for a
    missing one, or one of other classes.
    """

    name = settings = "secgan"
    needs = (("parser", "FaceParser"),)

    def __init__(self, preset: Preset, faces: PackedFaces, parser: FaceParser | None = None):
        own = preset.secgan
        check_choice("secgan.variant", own.variant, VARIANTS)
        check_choice("secgan.backbone", own.backbone, BACKBONES)
        super().__init__(faces, own)
        self.variant, self.attgan = own.variant, own.backbone == "attgan"
        self.parser = None if self.variant == "baseline" else frozen(parser)
        branches = {"rgb": 3, "seg": len(MERGED_CLASSES)} if self.variant == "secgan" else {"rgb": 3}
        self.averaged = tuple(f"g_{branch}" for branch in branches)
        self.accumulates = not self.attgan  # batch normalisation: it looks at the whole batch
        sizes = {"concatenate": self.variant == "concat", "width": own.width, "blocks": own.blocks}
        discriminator = AttGANDiscriminator if self.attgan else StarGANDiscriminator
        self.learn_with_adam(
            {f"g_{b}": SeCGANGenerator(own.attributes, b, own.backbone, **sizes) for b in branches},
            {f"d_{b}": discriminator(own.attributes, faces.size, own.disc_width, n) for b, n in branches.items()},
            self._weights(own),
            own.attgan_lr if self.attgan else own.lr,
        )
        self.config["variant"] = self.variant
        if self.parser is not None:
            self.config["parser"] = fingerprint(self.parser)

    def _weights(self, own: SeCGANSettings) -> dict[str, float]:
        """What each term counts, in both branches alike."""
        backbone = "attgan_" if self.attgan else ""
        weights = {
            "critic": 1.0,
            "penalty": own.penalty_weight,
            "real classes": getattr(own, f"{backbone}disc_class_weight"),
            "adversarial": 1.0,
            "made classes": getattr(own, f"{backbone}class_weight"),
            "reconstruction": getattr(own, f"{backbone}reconstruction_weight"),
            "consistency": own.consistency_weight,
        }
        return weights | {f"seg {name}": weight for name, weight in weights.items()}

    def modules(self) -> list[nn.Module]:
        """The networks and the parser."""
        return [*super().modules(), *([] if self.parser is None else [self.parser])]

    def parse(self, image: Tensor) -> Tensor | None:
        """Soft masks ``s_in = P(x_in)`` of photographs, ``[B, 12, S, S]``; None where there is no parser."""
        if self.parser is None:
            return None
        with torch.no_grad():
            return self.logits(image).softmax(dim=1)

    def logits(self, image: Tensor) -> Tensor:
        """What P sees in pictures, ``[B, 12, S, S]``."""
        with self.autocast():
            logits = self.parser(image)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def edit(self, network: nn.Module, image: Tensor, mask: Tensor | None, difference: Tensor) -> Tensor:
        """``x_out`` of G_rgb, the ``network``, for faces with the soft masks ``mask``."""
        return network(torch.cat([image, mask], dim=1) if self.variant == "concat" else image, difference)

    def discriminator_terms(self, batch: Batch) -> Terms:
        """WGAN-GP and the attributes of the faces, in each branch."""
        source, target, mix = self.asked(batch)
        difference, mask, terms = target - source, self.parse(batch.image), {}
        with torch.no_grad():
            pairs = {"": ("d_rgb", batch.image, self.edit(self.networks["g_rgb"], batch.image, mask, difference))}
            if "g_seg" in self.networks:
                pairs["seg "] = ("d_seg", mask, self.networks["g_seg"](mask, difference))
        for branch, (name, real, made) in pairs.items():
            critic, penalty, logits = critic_terms(self.networks[name], self.judges[name], real, made, mix)
            terms[f"{branch}critic"], terms[f"{branch}penalty"] = critic, penalty
            terms[f"{branch}real classes"] = self.class_loss(logits, source)
        return terms

    def generator_terms(self, batch: Batch) -> Terms:
        """The score, the attributes asked for, reconstruction, and semantic consistency, in each branch."""
        source, target, _ = self.asked(batch)
        image, mask = batch.image, self.parse(batch.image)
        # Both wishes in one pass, so that batch normalisation, where there is any, sees both.
        wishes = torch.cat([target - source, torch.zeros_like(target)])
        images, masks = torch.cat([image, image]), None if mask is None else torch.cat([mask, mask])
        made, same = self.edit(self.networks["g_rgb"], images, masks, wishes).chunk(2)
        terms = self._judged("", "d_rgb", made, target)
        terms["reconstruction"] = F.l1_loss(same, image)
        if "g_seg" in self.networks:
            made_mask, same_mask = self.networks["g_seg"](masks, wishes).chunk(2)
            terms |= self._judged("seg ", "d_seg", made_mask, target)
            terms["seg reconstruction"] = soft_cross_entropy(same_mask, mask)
            terms["consistency"], terms["seg consistency"] = consistency(self.logits(made), made_mask)
        return terms

    def _judged(self, branch: str, judge: str, made: Tensor, target: Tensor) -> Terms:
        scores, logits = self.judges[judge](made)
        return {f"{branch}adversarial": -scores.mean(), f"{branch}made classes": self.class_loss(logits, target)}

    def class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy: summed over attributes as in StarGAN, or their mean as in AttGAN."""
        return label_loss(logits, labels) / (logits.shape[1] if self.attgan else 1)

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, as they are given back, and for each attribute with that one changed; the same of the masks."""
        image = batch.image[:8]
        mask, labels = self.parse(image), self.labels[batch.index[:8]].to(image.device)
        changes = 1 - 2 * labels
        wishes = [torch.zeros_like(labels), *(changes * one for one in torch.eye(labels.shape[1], device=image.device))]
        rows = [to_uint8_image(x) for x in (image, *(self.edit(networks["g_rgb"], image, mask, w) for w in wishes))]
        if "g_seg" in networks:
            masks = [mask, *(networks["g_seg"](mask, wish) for wish in wishes)]
            rows += [colorize_merged(soft.argmax(dim=1).byte().cpu().numpy()) for soft in masks]
        return tile(np.concatenate(rows), len(image))


def consistency(parsed: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
    """Semantic consistency: ``-1/HW sum hard(s_out) . log P(x_out)`` and ``-1/HW sum hard(P(x_out)) . log s_out``.

    ``parsed`` are P's logits of the made picture and ``made`` the probabilities of the made mask, ``[B, K, H, W]``
    each. The first is G_rgb's, its gradient goes through P; the second is G_seg's. ``hard``, the most likely class, is
    a constant.
    """
    for_rgb = reconstruction_loss(parsed, made.argmax(dim=1))
    for_seg = soft_cross_entropy(made, one_hot(parsed.argmax(dim=1), parsed.shape[1], made.dtype))
    return for_rgb, for_seg


def frozen(parser: FaceParser | None) -> FaceParser:
    """P, of the merged classes, in evaluation mode and learning nothing."""
    if parser is None:
        raise TrainingError(
            "SeCGAN needs a trained parser of the merged classes: train one (train parser --set parser.classes=12) and"
            " name its weights (--parser FILE)."
        )
    wanted, known = len(MERGED_CLASSES), parser.config["num_classes"]
    if known != wanted:
        remedy = f"train one with --set parser.classes={wanted}"
        raise TrainingError(f"SeCGAN needs a parser of {wanted} classes, not {known}: {remedy}.")
    return parser.eval().requires_grad_(False)


def by_difference(network: SeCGANGenerator, request: Request) -> Tensor:
    """The target with the label that is asked for, where it is annotated with the other; nothing else is asked for."""
    names = network.config["attributes"]
    difference = torch.zeros(len(request.target), len(names), device=request.target.device)
    for name, wanted in wish(network, request).items():
        difference[:, names.index(name)] = wanted.float() - known(request.labels, name).float()
    return network(request.target, difference)


def check_edits_faces(name: str, network: SeCGANGenerator) -> None:
    """``TrainingError`` unless ``network``, called ``name`` in it, takes pictures of faces and makes such."""
    if network.config["branch"] != "rgb" or network.config["concatenate"]:
        what = "makes masks" if network.config["branch"] == "seg" else "needs a parser's mask with each face"
        raise TrainingError(f"{name} is a SeCGANGenerator that {what}: take g_rgb of the variant secgan or baseline.")


WHAT = {"tasks": (TRANSFER, EDITING), "check": check_edits_faces, "at_learnt_size": True}
METHODS.register(Method("SeCGAN", SeCGANGenerator, "secgan", by_difference, **WHAT))
