"""One training of the benchmark: a curve on all test images, and which of them the final network gets right.

Everything else is the package's own training. `check_loss` tells whether the package still trains as it did: its
value stands in recipe.json, and the driver refuses to go on where it differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.matched.package import (
    Architecture,
    Dataset,
    Images,
    ProxyTraining,
    Recipe,
)
from snsearch.training import Bits

if TYPE_CHECKING:
    from torch import Tensor

_CHECKED_KEY = "shufflenet.g3.b4.shuffle.se16_stem12s2p_24x1s2-48x2s2-96x1s2_3x32x32_c4"


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe of frozen values. Raises ValueError for one that this version of snsearch cannot follow.

    A field that snsearch no longer has may be 0, which is what leaving it out means.
    """
    known = {field.name for field in fields(Recipe)}
    if lost := [name for name, value in values.items() if name not in known and value]:
        raise ValueError(f"this version of snsearch has no {', '.join(lost)} in its recipes")
    return Recipe(**{name: value for name, value in values.items() if name in known})


class BenchmarkTraining(ProxyTraining):
    """A training that is measured on all test images, in the data set's order, at every point of its curve."""

    monitor_images = sys.maxsize

    def __init__(
        self, arch: Architecture, dataset: Dataset, recipe: Recipe, *, seed: int, device: torch.device
    ) -> None:
        super().__init__(arch, dataset, recipe, seed=seed, device=device)
        self._test = dataset.test.to(device)

    def advancing(self) -> Iterator[None]:
        """Trains to the end; stops after each point of the curve."""
        while not self.finished:
            self.advance()
            yield

    def correct(self) -> Bits:
        """Whether the network, as it is now, gets each test image right."""
        network = self._scored_network()
        network.eval()
        found: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(self._test), 256):
                pixels = self._test.pixels[start : start + 256].contiguous(memory_format=torch.channels_last)
                answers = network(self._batches.normalise(pixels)).argmax(1)
                found.append(answers == self._test.labels[start : start + 256])
        bits: Bits = torch.cat(found).cpu().numpy()
        return bits


def checked(*, epochs: int = 1, curve_points: int = 1) -> tuple[Architecture, Dataset, Recipe]:
    """A tiny network, made-up images, and a recipe that uses every part that counts."""
    generator = torch.Generator().manual_seed(0)
    images = Images(
        pixels=torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator),
        labels=torch.arange(64) % 4,
    )
    dataset = Dataset(
        name="check", source="", classes=tuple("abcd"), train=images, test=images, augmentation="crop+flip"
    )
    recipe = Recipe(
        images=64,
        epochs=epochs,
        batch_size=16,
        augmentation=None,
        curve_points=curve_points,
        schedule="cosine",
        averaging=4.0,
        recalibration=64,
    )
    return Architecture.from_key(_CHECKED_KEY), dataset, recipe


def check_loss() -> float:
    """The test loss after four steps."""
    training = BenchmarkTraining(*checked(), seed=0, device=torch.device("cpu"))
    training.advance()
    return training.result().loss
