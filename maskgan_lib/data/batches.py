"""Batches of a packed folder, ordered by a counter: batch ``k`` is a function of the seed and ``k`` alone.

So resuming a run needs no saved state of a random generator, and several processes share one batch by slicing it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.classes import FLIPPED_ID, IGNORE_ID, MERGED_ID
from maskgan_lib.data.packed import PackedFaces


def to_float_image(image: np.ndarray | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """uint8 ``[..., H, W, 3]`` to PyTorch's default type ``[..., 3, H, W]`` in [-1, 1], converted on the device."""
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.require(image, requirements="CW"))  # torch takes no read-only memory maps
    image = image.to(device).movedim(-1, -3)
    return image.to(torch.get_default_dtype()).div_(127.5).sub_(1).contiguous()


def to_uint8_image(image: Tensor) -> np.ndarray:
    """float ``[..., 3, H, W]`` in [-1, 1] (clipped) to uint8 ``[..., H, W, 3]``."""
    scaled = image.detach().float().add(1).mul(127.5).round_().clamp_(0, 255)
    return scaled.byte().movedim(-3, -1).cpu().contiguous().numpy()


def flip(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror images ``[..., 3, H, W]`` and label maps ``[..., H, W]``, and let left and right classes trade places."""
    return image.flip(-1), _id_table("flipped", mask.device, mask.dtype)[mask.long()].flip(-1)


def merge(mask: Tensor) -> Tensor:
    """Label maps of the 19 classes, integer ``[...]``, as such of the 12 wider ones."""
    return _id_table("merged", mask.device, mask.dtype)[mask.long()]


@cache
def _id_table(name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What becomes of the ids 0 ... 255, ``[256]``: uploaded once, not at every step."""
    ids = {"flipped": FLIPPED_ID, "merged": MERGED_ID}[name]
    table = torch.full((256,), IGNORE_ID)
    table[: len(ids)] = torch.tensor(ids)
    return table.to(device, dtype)


@dataclass(frozen=True)
class Batch:
    """One process's share of batch ``step``: image ``[B, 3, S, S]`` in [-1, 1], mask uint8 ``[B, S, S]``.

    ``index`` says which faces these are, ``share`` their places among the ``total`` faces of the whole batch.
    Where asked for, ``reference`` holds a mask of another face for each, uint8 ``[B, S, S]``, and ``other_image`` and
    ``other_mask`` each face with another expression.
    """

    image: Tensor
    mask: Tensor
    index: np.ndarray
    step: int
    seed: int
    share: slice
    total: int
    reference: Tensor | None = None
    other_image: Tensor | None = None
    other_mask: Tensor | None = None

    def parts(self, count: int) -> list["Batch"]:
        """The batch cut into ``count`` equal parts; the noise of the parts is that of the whole."""
        size, rest = divmod(len(self.image), count)
        if rest or not size:
            raise ValueError(f"{len(self.image)} faces cannot be cut into {count} equal parts.")
        names = ["index", *(name for name, value in self.pictures().items() if value is not None)]
        parts = []
        for start in range(0, len(self.image), size):
            fields = {name: getattr(self, name)[start : start + size] for name in names}
            first = self.share.start + start
            parts.append(replace(self, share=slice(first, first + size), **fields))
        return parts

    def pictures(self) -> dict[str, Tensor | None]:
        """Images and masks, by name."""
        return {name: getattr(self, name) for name in ("image", "mask", "reference", "other_image", "other_mask")}

    def noise(self, *shape: int, device: torch.device | str | None = None, stream: str = "") -> Tensor:
        """Standard normal noise ``[B, *shape]`` that depends on seed, step and the place in the whole batch only.

        Another ``stream`` has other noise. It is drawn on ``device``, the images' unless given: a GPU draws other
        numbers than a CPU.
        """
        state = np.random.SeedSequence([self.seed, self.step, *stream.encode()]).generate_state(1, np.uint64)
        device = device or self.image.device
        generator = torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))
        return torch.randn(self.total, *shape, generator=generator, device=device)[self.share]


@dataclass(eq=False)
class Batches:
    """Batches of the faces ``indices``, each of ``batch_size`` faces over all ``world`` processes.

    Every pass over the faces has an order of its own, drawn from (seed, pass). A batch may reach into the next pass,
    so any number of faces from one up will do. With ``references`` every face also brings the mask of another one,
    which comes as many places later in that pass' order: how many is drawn anew for every pass. With ``expressions``
    it brings its own next expression, which faces have that were drawn with several.
    """

    faces: PackedFaces
    indices: np.ndarray
    batch_size: int
    seed: int = 0
    device: torch.device | str = "cpu"
    rank: int = 0
    world: int = 1
    references: bool = False
    expressions: bool = False

    def __post_init__(self) -> None:
        if len(self.indices) == 0:
            raise ValueError("There are no faces to make batches of.")
        if self.batch_size % self.world:
            raise ValueError(f"A batch of {self.batch_size} faces cannot be shared evenly by {self.world} processes.")
        share = self.batch_size // self.world
        self.share = slice(self.rank * share, (self.rank + 1) * share)

    def draw(self, step: int) -> np.ndarray:
        """Face indices ``[batch_size, 2]`` of the whole batch ``step``: the faces, and their references.

        No face is its own reference, unless there is only one.
        """
        count, end = len(self.indices), (step + 1) * self.batch_size
        first, offset = divmod(step * self.batch_size, count)
        passes = []
        for number in range(first, -(-end // count)):
            rng = np.random.default_rng([self.seed, number])
            order = rng.permutation(self.indices)
            passes.append(np.stack([order, np.roll(order, -rng.integers(1, max(2, count)))], axis=1))
        return np.concatenate(passes)[offset : offset + self.batch_size]

    def at(self, step: int) -> Batch:
        """This process's share of batch ``step``, on the device."""
        return self._to_device(step, *self._read(step))

    def stream(self, first: int, end: int) -> Iterator[Batch]:
        """``at(first)`` to ``at(end - 1)``; while one is in use, a thread reads the next. Closing ends the thread."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as reader:
            coming = reader.submit(self._read, first)
            for step in range(first, end):
                index, arrays = coming.result()
                if step + 1 < end:
                    coming = reader.submit(self._read, step + 1)
                yield self._to_device(step, index, arrays)

    def _read(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Which faces, and what a batch holds of them, by the names there: uint8, by numpy alone.

        A thread that used torch would start a second set of torch's threads, where the first one is at work.
        """
        index, others = self.draw(step)[self.share].T
        arrays = dict(zip(("image", "mask"), self.faces.read(index), strict=True))
        if self.references:
            arrays["reference"] = self.faces.masks[others]
        if self.expressions:
            count = self.faces.made_by["expressions"]
            expressed = index - index % count + (index + 1) % count
            arrays |= zip(("other_image", "other_mask"), self.faces.read(expressed), strict=True)
        return index, arrays

    def _to_device(self, step: int, index: np.ndarray, arrays: dict[str, np.ndarray]) -> Batch:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        pinned = torch.device(self.device).type == "cuda"
        if pinned:
            # From there a copy does not wait for what the GPU still has to do; PyTorch keeps the memory till then.
            tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
        tensors = {name: tensor.to(self.device, non_blocking=pinned) for name, tensor in tensors.items()}
        tensors |= {name: to_float_image(t, self.device) for name, t in tensors.items() if name.endswith("image")}
        return Batch(index=index, step=step, seed=self.seed, share=self.share, total=self.batch_size, **tensors)
