"""Recipes of trainings, and what a training comes to: its curve, its score and its right answers."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from snsearch.codec import Share, Stored, Whole, encode
from snsearch.errors import StudyError
from snsearch.prose import counted
from snsearch.training.found import Augmentation

Schedule = Literal["cosine", "constant"]
Part = Literal["validation", "test"]  # of a data set, on which a network is scored
Bits = npt.NDArray[np.bool_]


def _without_retired(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's values without options that are gone. Raises StudyError where it uses one; no kept recipe does."""
    retired = ("low_resolution", "label_smoothing")
    if used := [name for name in retired if values.get(name)]:
        raise StudyError(f"the recipe uses {', '.join(used)}, which this version does not have")
    return {name: value for name, value in values.items() if name not in retired}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything about a proxy training except the architecture, the data and the seed.

    AdamW with a linear warm-up; residual branches start at zero. What is scored are averaged weights, with batch
    norm's statistics measured again: the curve is meaningful at every point, not only at its end, so a candidate may
    be judged on the way.
    """

    STORED: ClassVar = Stored(upgrade=_without_retired)

    images: int = 5_000  # training images per epoch, the same for every candidate; fewer where the data has fewer
    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 0.02
    warmup: float = 0.1  # of all steps
    zero_start: bool = True
    augmentation: Augmentation | None = "none"  # pays in long trainings only; None: the data set's own
    test_images: int = 4_000
    curve_points: int = 2  # per epoch
    schedule: Schedule = "constant"  # behind the warm-up: constant, or to zero
    averaging: float = 4.0  # of the weights: their mean over about the last 1 / (1 + averaging) of the steps; 0: none
    recalibration: int = 512  # training images by which batch norm's statistics are measured again before evaluating

    def __post_init__(self) -> None:
        counts = (self.images, self.epochs, self.batch_size, self.test_images, self.curve_points)
        others = (self.weight_decay, self.averaging, self.recalibration)
        if (
            min(counts) < 1
            or min(others) < 0
            or self.recalibration == 1  # a single image of one pixel has no variance
            or not 0 < self.learning_rate < 10
            or not 0 <= self.warmup < 1
        ):
            raise StudyError(f"the proxy recipe is out of range: {encode(self)}")

    def describe(self) -> str:
        """The recipe in a line."""
        return (
            f"{counted(self.epochs, 'epoch')} of {counted(self.images, 'image')}, batch {self.batch_size}, "
            f"AdamW {self.learning_rate:g}, "
            f"weight decay {self.weight_decay:g}, warm-up {self.warmup:.0%}, "
            + ("cosine decay to zero" if self.schedule == "cosine" else "then constant")
            + (f", weights averaged ({self.averaging:g})" if self.averaging else "")
            + (f", batch norm measured again on {self.recalibration:,} images" if self.recalibration else "")
            + (", residual branches start at zero" if self.zero_start else "")
            + f", augmentation: {self.augmentation or 'of the data set'}"
        )


def default_recipe(train_images: int) -> Recipe:
    """The recipe of a short training of 5,000 images; small data gets more epochs."""
    usual = Recipe()
    images = min(train_images, usual.images)
    return replace(usual, images=images, epochs=max(1, round(usual.images / images)))


_POINTS = 6  # of a full training's curve
MOST_PASSES = 60  # at most: a few hundred images are not trained on for ever


def full_recipe(train_images: int, images: int) -> Recipe:
    """The recipe of a full training on about `images` images, repetitions counted; its curve has six points.

    Images that are seen several times are augmented as the data set's own augmentation says.
    """
    epochs = max(1, min(MOST_PASSES, round(images / train_images)))
    return Recipe(
        images=min(train_images, images),
        epochs=epochs,
        augmentation=None if epochs > 1 else "none",
        curve_points=max(1, _POINTS // epochs),
        schedule="cosine",
        averaging=9.0,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """One point of a learning curve."""

    images_seen: int
    train_loss: float  # mean since the point before
    test_error: Share  # on `test_images` images
    test_loss: float
    test_images: int
    cpu_seconds: float  # of this process, since the training began, evaluations among them


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyResult:
    """The score of one training: what was seen, on what, with which seed, at what cost."""

    error: Share  # of wrong test images
    loss: float
    test_images: Whole
    train_images: int
    curve: tuple[CurvePoint, ...]
    seconds: float
    seed: int
    device: str
    threads: int
    torch_version: str
    finished: bool = True  # False: not trained to the end, and the score is that of the last point
    balanced_error: Share | None = None  # mean over the classes of each one's share of wrong images; None: not kept
    share: Share = 1.0  # of the whole training; where it is not finished, earlier versions did not keep it
    scored_on: Part | None = None  # None: not kept
    correct: str = ""  # which of the test images are right, in their order; see `bits`

    @property
    def images_seen(self) -> int:
        """Training images up to the last point, repetitions counted."""
        return self.curve[-1].images_seen

    @property
    def bits(self) -> Bits | None:
        """(test_images,) whether each image is right; None where that was not kept.

        Raises StudyError where the text is none that `text_of` made.
        """
        return bits_of(self.correct, self.test_images) if self.correct else None


def bits_of(text: str, count: int) -> Bits:
    """(count,) what `text_of` was made from. Raises StudyError where it was made from another number."""
    size = (count + 7) // 8
    try:
        packed = zlib.decompressobj().decompress(base64.b85decode(text), size + 1)
    except (ValueError, zlib.error):
        packed = b""
    if len(packed) != size:
        raise StudyError(f"a training's right answers are damaged: expected {count:,} of them")
    bits: Bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=count).astype(np.bool_)
    return bits


def text_of(bits: Bits) -> str:
    """What `ProxyResult.correct` keeps: packed to bits, compressed, base 85."""
    return base64.b85encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode("ascii")
