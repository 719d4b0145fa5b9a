"""StarGAN: a generator that is told which attributes a face should have, and has to find the way back."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import StarGANDiscriminator, StarGANGenerator
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import tile
from maskgan_lib.training.wgan import Terms, WassersteinStage, critic_terms, label_loss


class StarGANStage(WassersteinStage):
    """WGAN-GP, the attributes, and the way there and back.

    With one attribute, half of the faces ask for nothing new; such a face teaches the way there and back only.
    """

    name = settings = "stargan"
    averaged = ("stargan",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        attributes = preset.stargan_attributes
        super().__init__(faces, attributes, preset.stargan_critic_updates, preset.stargan_batch)
        self.learn_with_adam(
            {"stargan": StarGANGenerator(attributes, preset.stargan_width, preset.stargan_blocks)},
            {"discriminator": StarGANDiscriminator(attributes, faces.size, preset.stargan_disc_width)},
            preset.stargan_lr,
        )
        self.preset = preset
        self.config = {
            "lr": preset.stargan_lr,
            "critic updates": preset.stargan_critic_updates,
            "penalty weight": preset.stargan_penalty_weight,
            "discriminator's class weight": preset.stargan_disc_class_weight,
            "class weight": preset.stargan_class_weight,
            "cycle weight": preset.stargan_cycle_weight,
            "identity weight": preset.stargan_identity_weight,
        }

    def discriminator_loss(self, batch: Batch, judges: Mapping[str, nn.Module]) -> tuple[Tensor, Terms]:
        """WGAN-GP and the attributes of the photographs."""
        source, target, mix = self.asked(batch)
        with torch.no_grad():
            made = self.networks["stargan"](batch.image, target)
        judge = self.networks["discriminator"]
        critic, penalty, logits = critic_terms(judge, judges["discriminator"], batch.image, made, mix)
        classes = label_loss(logits, source)
        preset = self.preset
        loss = critic + preset.stargan_penalty_weight * penalty + preset.stargan_disc_class_weight * classes
        return loss, {"critic": critic, "penalty": penalty, "real classes": classes}

    def generator_loss(self, batch: Batch, judges: Mapping[str, nn.Module]) -> tuple[Tensor, Terms]:
        """The score, the attributes that were asked for, and L1 between a face and itself after there and back.

        Where nothing new was asked for, the result should be the face itself: L1 again, of weight 0 in the paper. A
        generator that cannot yet do that loses the face on its way there, and learns the way back slowly.
        """
        source, target, _ = self.asked(batch)
        made = self.networks["stargan"](batch.image, target)
        scores, logits = judges["discriminator"](made)
        adversarial = -scores.mean()
        classes = label_loss(logits, target)
        cycle = F.l1_loss(self.networks["stargan"](made, source), batch.image)
        unchanged = (target == source).all(dim=1)
        identity = ((made - batch.image).abs().mean(dim=(1, 2, 3)) * unchanged).mean()
        preset = self.preset
        loss = adversarial + preset.stargan_class_weight * classes + preset.stargan_cycle_weight * cycle
        loss = loss + preset.stargan_identity_weight * identity
        return loss, {"adversarial": adversarial, "made classes": classes, "cycle": cycle, "identity": identity}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, there and back with their own labels, and for each attribute those with that label changed."""
        network, image = networks["stargan"], batch.image[:8]
        labels = self.labels[batch.index[:8]].to(image.device)
        rows = [image, network(image, labels)]
        for place in range(labels.shape[1]):
            changed = labels.clone()
            changed[:, place] = 1 - changed[:, place]
            rows.append(network(image, changed))
        return tile(to_uint8_image(torch.cat(rows)), len(image))
