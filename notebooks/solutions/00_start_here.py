"""Solutions of chapter 00. Try first, then read."""

import numpy as np
import torch


def touched_classes(before, after):
    """0.1: index both maps where they differ; a set drops repetitions."""
    differs = before != after
    return sorted({*before[differs].tolist(), *after[differs].tolist()})


def style_walk(first, second, steps):
    """0.2: weights from 0 to 1 along a new axis: each style gets its own."""
    weights = torch.from_numpy(np.linspace(0, 1, steps, dtype=np.float32))
    return torch.lerp(first, second, weights[:, None, None].to(first))


def closeness(first, second):
    """0.3: uint8 wraps round at 256; floats hold differences and squares."""
    error = ((first.astype(float) - second.astype(float)) ** 2).mean()
    return float(10 * np.log10(255**2 / error))
