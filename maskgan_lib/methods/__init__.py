"""Ways to make faces beside MaskGAN's own: network, losses, settings, stage and answers of each in one file."""
