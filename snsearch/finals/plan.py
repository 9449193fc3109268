"""FinalPlan: what one full training is, so that the same command goes on with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from snsearch.codec import Stored, Whole
from snsearch.errors import SpecError
from snsearch.finals.recipe import FinalRecipe
from snsearch.units import format_count

Precision = Literal["float32", "bfloat16", "float16"]  # of multiplications; weights and sums stay float32
_LEAST_STEPS = 40  # per epoch, before a batch is made smaller than the recipe's
_LEAST_BATCH = 16
IMBALANCED = 3.0  # the largest class has this many times the images of the smallest


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalPlan:
    """What decides a training's weights: kept in its checkpoints, and compared when it goes on."""

    STORED: ClassVar = Stored(schema=1)

    key: str  # of the network, at the resolution of the training
    recipe: FinalRecipe
    data: str
    fingerprint: str  # of the images and their labels
    classes: tuple[str, ...]
    train_images: Whole
    epochs: Whole
    batch_size: Whole  # of all processes, with all parts
    learning_rate: float  # the highest
    accumulate: Whole  # parts that a batch is computed in
    processes: Whole
    precision: Precision
    seed: int
    frozen: tuple[str, ...] = ()
    started_from: str = ""  # digest of the weights; empty: random ones
    teacher: str = ""  # digest of its weights
    class_weights: tuple[float, ...] = ()  # in the loss; empty: all alike

    def __post_init__(self) -> None:
        if self.batch_size % (self.processes * self.accumulate):
            raise SpecError(
                f"a batch of {self.batch_size} cannot be divided among {self.processes} processes with "
                f"{self.accumulate} parts each; give a --batch that is a multiple of "
                f"{self.processes * self.accumulate}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the training images."""
        return self.train_images // self.batch_size

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.epochs * self.steps_per_epoch

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        warm = round(self.recipe.warmup * self.steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        gone = (step - warm) / max(1, self.steps - warm)
        left = 1 - gone if self.recipe.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * gone))
        return self.learning_rate * left

    def lines(self) -> Iterator[str]:
        """The plan in words."""
        yield f"recipe {self.recipe.describe()}"
        parts = [f"{self.processes} processes"] if self.processes > 1 else []
        parts += [f"{self.accumulate} parts"] if self.accumulate > 1 else []
        divided = f" ({' with '.join(parts)})" if parts else ""
        yield (
            f"  {self.epochs:,} epochs of {self.steps_per_epoch:,} steps, {format_count(self.steps)} in all; batch "
            f"{self.batch_size}{divided}, learning rate {self.learning_rate:g}, {self.precision}, seed {self.seed}"
        )
        if self.batch_size != self.recipe.batch_size:
            yield (
                f"  the recipe has batch {self.recipe.batch_size} and rate {self.recipe.learning_rate:g}; the rate "
                f"is scaled with the batch ({self.recipe.scaling})"
            )
        if self.class_weights:
            low, high = min(self.class_weights), max(self.class_weights)
            yield (
                f"  classes have unequal numbers of images: their losses weigh {low:.2g} to {high:.2g}, and the best "
                "weights are chosen by the balanced error"
            )


def batch_of(recipe: FinalRecipe, images: int, asked: int | None, multiple: int) -> int:
    """Images of a batch: what is asked for, else the recipe's, or on small data a smaller power of two.

    Args:
        recipe: whose batch is the most.
        images: of the training split.
        asked: by the user.
        multiple: of what the batch must be.

    Raises SpecError if there are fewer images than one batch has.
    """
    batch = asked
    if batch is None:
        most = max(_LEAST_BATCH, images // _LEAST_STEPS)
        batch = recipe.batch_size if recipe.batch_size <= most else 2 ** int(math.log2(most))
        batch = max(multiple, min(batch, images) // multiple * multiple)
    if batch > images:
        raise SpecError(f"a batch of {batch} is more than the {images} training images; give a smaller --batch")
    if batch < 2:
        raise SpecError("a batch of one image has no statistics for batch norm; give a --batch of 2 or more")
    return batch


def rate_of(recipe: FinalRecipe, batch: int) -> float:
    """The recipe's highest learning rate, scaled to a batch."""
    ratio = batch / recipe.batch_size
    return recipe.learning_rate * (ratio if recipe.scaling == "linear" else math.sqrt(ratio))


def class_weights(counts: list[int], power: float) -> tuple[float, ...]:
    """Weights of the classes' losses: count^-power, with mean 1 over the images; empty where numbers are alike.

    A class without images weighs as one with a single image.
    """
    if not power or max(counts) < IMBALANCED * max(1, min(counts)):
        return ()
    raw = [max(1, count) ** -power for count in counts]
    mean = sum(count * weight for count, weight in zip(counts, raw, strict=True)) / sum(counts)
    return tuple(weight / mean for weight in raw)
