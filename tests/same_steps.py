"""Two stages that start alike: do they stay alike, however their steps are executed?"""

from collections.abc import Callable

import pytest
import torch
from accelerate import Accelerator

from maskgan_lib.data.batches import Batch
from maskgan_lib.training.stage import Stage


def assert_same_steps(plain: Stage, other: Stage, at: Callable[[int], Batch], parts: int = 1) -> None:
    """Two steps of both, of ``other`` with each batch in ``parts``: the same losses and weights, in float64."""
    for step in range(2):
        whole = plain.step([at(step)], Accelerator())
        in_parts = other.step(at(step).parts(parts), Accelerator())
        assert {k: v.item() for k, v in in_parts.items()} == pytest.approx({k: v.item() for k, v in whole.items()})
    for name, network in plain.networks.items():
        for ours, theirs in zip(other.networks[name].parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)
