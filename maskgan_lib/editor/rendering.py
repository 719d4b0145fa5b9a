"""Masks to pictures, fast enough to paint by: what does not change from stroke to stroke is computed once."""

import copy
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.methods.method import method_for
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.networks import DenseMappingNetwork, one_hot

KEPT_STYLES = 64
"""Style codes that are remembered: the last ones asked for."""

PATIENCE = 0.4
"""Seconds for which the ways to compute are timed in turn, once each has run."""
WORTH_IT = 0.8
"""Another way than plain float32 is taken if it needs less than this share of its time."""


@dataclass(frozen=True)
class Way:
    """How the backbone computes: the type of its numbers and the order in which they lie in memory."""

    dtype: torch.dtype
    memory_format: torch.memory_format

    def __str__(self) -> str:
        order = ", channels last" if self.memory_format == torch.channels_last else ""
        return str(self.dtype).removeprefix("torch.") + order


PLAIN = Way(torch.float32, torch.contiguous_format)
WAYS = (PLAIN, Way(torch.float32, torch.channels_last), Way(torch.bfloat16, torch.contiguous_format))


@dataclass(frozen=True, eq=False)
class StyleCode:
    """The look of a face as ``network`` sees it: its style ``code [1, C]``, or ``[1, K, C]``, one for every class.

    Computed from it, and linear in it, is what the backbone takes: the ``condition``, ``[1, P]`` or ``[1, K, P]``.
    Styles of two networks have nothing in common: to bring them together is a ``ValueError``.
    """

    network: nn.Module
    code: Tensor
    condition: Tensor

    def mix(self, other: "StyleCode", share: float) -> "StyleCode":
        """A straight line between two styles: 0 is this one, 1 the other one."""
        self.check(other.network)
        return replace(
            self, code=self.code.lerp(other.code, share), condition=self.condition.lerp(other.condition, share)
        )

    def put(self, other: "StyleCode", classes: Iterable[int]) -> "StyleCode":
        """This style with the codes of ``other`` for some classes, by id; ``ValueError`` if there is but one code."""
        self.check(other.network)
        if self.code.dim() != 3:
            raise ValueError("This style is one for the whole picture: use a network with style='regional'.")
        chosen = torch.zeros(self.code.shape[1], 1, dtype=torch.bool, device=self.code.device)
        chosen[list(classes)] = True
        return replace(
            self,
            code=torch.where(chosen, other.code, self.code),
            condition=torch.where(chosen, other.condition, self.condition),
        )

    def check(self, network: nn.Module) -> None:
        """``ValueError`` if the style is not one of this network's."""
        if network is not self.network:
            raise ValueError("The style belongs to another network: take it from the renderer that makes the picture.")


class Frozen:
    """A copy of ``network`` in float32 that nobody else can change."""

    def __init__(self, network: nn.Module, device: torch.device | str):
        self.device = torch.device(device)
        self._network = copy.deepcopy(network).to(self.device, torch.float32).eval().requires_grad_(False)
        self._lock = threading.RLock()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """One thread at a time, and whatever the caller has switched on for itself, neither autocast nor gradients."""
        with self._lock, torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            yield


class Renderer(Frozen):
    """Renders label maps of ``size`` pixels a side with a copy of ``network`` that nobody else can change.

    The style of a picture is encoded once, in float32. The backbone computes in the fastest of ``WAYS``, as timed when
    the renderer is made; bfloat16, much faster on processors that compute in it, changes a picture a little. Threads
    take turns; no setting of PyTorch is changed, and no random number is drawn.

    Args:
        way: computes in this way and times nothing: for pictures that must not depend on the machine's load.

    ``ValueError`` for a size that the network cannot take.
    """

    def __init__(
        self,
        network: DenseMappingNetwork | SPADEGenerator,
        size: int,
        device: torch.device | str = "cpu",
        way: Way | None = None,
    ):
        network.check(torch.empty(size, size))
        super().__init__(network, device)
        self.size = size
        self._styles: OrderedDict[bytes, StyleCode] = OrderedDict()
        blank = np.zeros((size, size), np.uint8)
        style = self.style(np.zeros((size, size, 3), np.uint8), blank)
        self._styles.clear()
        self.way = way or self._fastest(blank, style)
        self._backbone = self._prepared(self.way)
        self.render(blank, style)

    def __repr__(self) -> str:
        return f"Renderer({self.size} x {self.size}, {self.device.type}, {self.way})"

    @property
    def regional(self) -> bool:
        """Whether a style has a code for every class, so that ``StyleCode.put`` can be used."""
        return self._network.config.get("style") == "regional"

    def style(self, image: np.ndarray, mask: np.ndarray) -> StyleCode:
        """The style of ``image``, uint8 ``[S, S, 3]``, with its own label map, uint8 ``[S, S]``."""
        self._check(mask)
        if image.shape != (*mask.shape, 3) or image.dtype != np.uint8:
            raise ValueError(f"A picture must be uint8 {(*mask.shape, 3)}, not {image.dtype} {image.shape}.")
        image, mask = np.ascontiguousarray(image), np.ascontiguousarray(mask)
        key = hashlib.sha256(image.tobytes() + mask.tobytes()).digest()
        with self._computing():
            if key not in self._styles:
                network = self._network
                onehot = one_hot(torch.tensor(mask, device=self.device)[None])
                code = network.encode_style(to_float_image(image[None], self.device), onehot)
                self._styles[key] = StyleCode(network, code, network.condition(code))
                if len(self._styles) > KEPT_STYLES:
                    self._styles.popitem(last=False)
            self._styles.move_to_end(key)
            return self._styles[key]

    def render(self, mask: np.ndarray, style: StyleCode) -> np.ndarray:
        """The picture, uint8 ``[S, S, 3]``, of a label map, uint8 ``[S, S]``, in a style of this renderer's."""
        self._check(mask)
        style.check(self._network)
        with self._computing():
            return self._run(self._backbone, self.way, mask, style)

    def _check(self, mask: np.ndarray) -> None:
        if mask.shape != (self.size, self.size) or mask.dtype != np.uint8:
            raise ValueError(f"A mask must be uint8 {(self.size, self.size)}, not {mask.dtype} {mask.shape}.")

    def _prepared(self, way: Way) -> nn.Module:
        return copy.deepcopy(self._network.backbone).to(dtype=way.dtype, memory_format=way.memory_format)

    def _run(self, backbone: nn.Module, way: Way, mask: np.ndarray, style: StyleCode) -> np.ndarray:
        onehot = one_hot(torch.tensor(mask, device=self.device)[None], self._network.config["num_classes"], way.dtype)
        image = backbone(onehot.contiguous(memory_format=way.memory_format), style.condition.to(way.dtype))
        return to_uint8_image(image)[0]

    def _fastest(self, mask: np.ndarray, style: StyleCode) -> Way:
        """The way whose best run was the shortest; several are timed in turn, so that a busy spell hits all of them."""
        times: dict[Way, float] = {}
        backbones = {way: self._prepared(way) for way in WAYS}

        def run(way: Way) -> float:
            start = time.perf_counter()
            self._run(backbones[way], way, mask, style)  # its picture is on the CPU: a GPU's queue is empty
            return time.perf_counter() - start

        with self._computing():
            first = {way: run(way) for way in WAYS}
            stop = time.perf_counter() + PATIENCE
            for way in WAYS:
                # Starting up makes a first run slow. One of seconds is taken at its word, there is no time for more.
                times[way] = first[way] if first[way] > PATIENCE else run(way)
            while time.perf_counter() < stop:
                times = {way: min(times[way], run(way)) for way in WAYS}
        return choose(times)


def renderers_of(
    networks: Mapping[str, nn.Module], size: int, device: torch.device | str = "cpu"
) -> dict[str, Renderer]:
    """Renderers of those of ``networks``, by name, that render masks: the methods that the editor lets one choose."""
    methods = {name: method_for(network) for name, network in networks.items()}
    return {
        name: Renderer(networks[name], size, device) for name, method in methods.items() if method and method.renders
    }


def choose(times: dict[Way, float]) -> Way:
    """The fastest way, unless it gains too little over plain float32 to be worth the rounding."""
    best = min(times, key=times.__getitem__)
    return best if times[best] < WORTH_IT * times[PLAIN] else PLAIN
