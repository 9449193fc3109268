"""Evaluation: how many images a network gets right, by class and confused, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snsearch.codec import Share, Stored
from snsearch.intervals import Z95, error_of_share, wilson_95
from snsearch.prose import counted
from snsearch.tables import Column, Table

Interval = tuple[float, float]
_TOP = 5
_CONFUSED = 5  # pairs of classes that are shown


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """The images of a class, and how many of them were found."""

    name: str
    images: int
    right: int
    recall: Share | None  # right / images; None: there are no images
    recall_interval: Interval
    precision: Share | None  # of the images that were taken for this class; None: there are none


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a network does on images of a split; the 95 % intervals hold the noise of the images' number alone."""

    STORED: ClassVar = Stored(schema=1)

    images: int
    unreadable: int  # images that could not be decoded, and do not count
    error: Share
    error_interval: Interval
    top5_error: Share | None  # None: of five classes or fewer
    top5_interval: Interval | None
    balanced_error: Share  # mean over the classes of each one's share of wrong images
    balanced_interval: Interval
    loss: float
    per_class: tuple[ClassScore, ...]
    confusion: tuple[
        tuple[int, ...], ...
    ]  # a row per class of the images, a column per class that they were taken for

    def __repr__(self) -> str:
        return f"<{self.lines[0]}>"

    @property
    def lines(self) -> list[str]:
        """The figures in words, and the pairs of classes that are confused most."""
        lines = [f"top-1 error {_with(self.error, self.error_interval)} on {counted(self.images, 'image')}"]
        if self.top5_error is not None and self.top5_interval is not None:
            lines.append(f"top-5 error {_with(self.top5_error, self.top5_interval)}")
        lines.append(f"balanced error {_with(self.balanced_error, self.balanced_interval)}; loss {self.loss:.3f}")
        if self.unreadable:
            lines.append(f"{counted(self.unreadable, 'image')} cannot be decoded: not counted")
        pairs = [
            (count, self.per_class[row].name, self.per_class[column].name)
            for row, counts in enumerate(self.confusion)
            for column, count in enumerate(counts)
            if count and row != column
        ]
        worst = sorted(pairs, key=lambda pair: -pair[0])[:_CONFUSED]
        if worst:
            lines.append("most confused: " + ", ".join(f"{one} taken for {other} ({n})" for n, one, other in worst))
        return lines

    @property
    def table(self) -> Table[ClassScore]:
        """The classes, the least found first."""
        return Table(
            columns=(
                Column[ClassScore]("class", lambda one: one.name),
                Column[ClassScore]("images", lambda one: one.images, align="right"),
                Column[ClassScore]("found", lambda one: _percent(one.recall), align="right"),
                Column[ClassScore](
                    "95 %", lambda one: " to ".join(map(_percent, one.recall_interval)), align="right", drop=2
                ),
                Column[ClassScore]("precision", lambda one: _percent(one.precision), align="right", drop=1),
            ),
            rows=sorted(self.per_class, key=lambda one: (one.recall is None, one.recall)),
            title="by class",
        )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _with(share: float, interval: Interval) -> str:
    return f"{share:.2%} ({interval[0]:.2%} to {interval[1]:.2%})"


class Tally:
    """Counts of a network's outputs on images, from which an Evaluation is made."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), dtype=np.int64)
        self.others = np.zeros(3, dtype=np.float64)  # summed loss, true class among the first five, unreadable

    def add(self, logits_NC: npt.NDArray[np.float32], labels_N: npt.NDArray[np.int64]) -> None:
        """Counts a batch; negative labels are of images that could not be decoded."""
        known = labels_N >= 0
        logits, labels = logits_NC[known].astype(np.float64), labels_N[known]
        np.add.at(self.confusion, (labels, logits.argmax(1)), 1)
        of_label = np.take_along_axis(logits, labels[:, None], 1)
        largest = logits.max(1, keepdims=True, initial=-math.inf)
        loss = np.log(np.exp(logits - largest).sum(1)) + (largest - of_label)[:, 0]
        in_first = ((logits > of_label).sum(1) < _TOP).sum()
        self.others += (loss.sum(), in_first, (~known).sum())

    def evaluation(self, classes: Sequence[str]) -> Evaluation:
        """What the counts say. At least one image was counted."""
        images, right = int(self.confusion.sum()), int(self.confusion.trace())
        loss, in_first, unreadable = self.others.tolist()
        scores = [_class_score(name, row, self.confusion) for row, name in enumerate(classes)]
        seen = [one for one in scores if one.images]
        balanced = sum(1 - one.right / one.images for one in seen) / len(seen)
        half = Z95 * math.hypot(*(error_of_share(one.right / one.images, one.images) for one in seen)) / len(seen)
        top5 = len(classes) > _TOP
        return Evaluation(
            images=images,
            unreadable=int(unreadable),
            error=(images - right) / images,
            error_interval=wilson_95(images - right, images),
            top5_error=(images - in_first) / images if top5 else None,
            top5_interval=wilson_95(images - int(in_first), images) if top5 else None,
            balanced_error=balanced,
            balanced_interval=(max(0.0, balanced - half), min(1.0, balanced + half)),
            loss=loss / images,
            per_class=tuple(scores),
            confusion=tuple(map(tuple, self.confusion.tolist())),
        )


def _class_score(name: str, row: int, confusion: npt.NDArray[np.int64]) -> ClassScore:
    images, taken, right = (int(one) for one in (confusion[row].sum(), confusion[:, row].sum(), confusion[row, row]))
    return ClassScore(
        name=name,
        images=images,
        right=right,
        recall=right / images if images else None,
        recall_interval=wilson_95(right, images),
        precision=right / taken if taken else None,
    )
