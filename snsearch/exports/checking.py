"""Whether an exported network computes what torch computes, and how many images each gets right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snsearch.engine import Run, model_input
from snsearch.exports.subject import Floats, Subject
from snsearch.training import Dataset

PARITY = 1e-4  # largest difference to torch's logits in float32, over the largest logit
_BATCH = 32
_RANDOM = (1, 3)  # images of the random batches, which also show whether the number is free


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How an exported network's logits differ from torch's."""

    max_difference: float  # over torch's largest logit
    argmax_agreement: float  # share of images with the same largest logit
    images: int  # real ones; 0: it ran on random inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """The shares of test images that are classified right, before and after."""

    torch: float
    exported: float


def batches_of(subject: Subject, dataset: Dataset | None) -> Iterator[tuple[Floats, NDArray[np.int64] | None]]:
    """Normalised test images with their labels; random inputs without a data set."""
    if dataset is None:
        shape = (subject.arch.input_channels, *subject.arch.resolution)
        for seed, count in enumerate(_RANDOM, start=1):
            yield model_input((count, *shape), seed), None
        return
    test = dataset.test
    for start in range(0, len(test), _BATCH):
        part = slice(start, start + _BATCH)
        yield subject.normalise(test.pixels[part].numpy()), test.labels[part].numpy()


def compared(
    subject: Subject,
    run: Run,
    dataset: Dataset | None,
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> tuple[Parity, Accuracy | None]:
    """The parity and the accuracies on the data set's test images, or on random inputs."""
    difference = largest = 0.0
    agree = seen = right = exported_right = 0
    for images, labels in batches_of(subject, dataset):
        ours, theirs = subject.logits(images), run(images)
        if theirs.shape != ours.shape or not np.isfinite(theirs).all():
            difference = float("inf")
            break
        difference = max(difference, float(np.abs(ours - theirs).max()))
        largest = max(largest, float(np.abs(ours).max()))
        agree += int((ours.argmax(1) == theirs.argmax(1)).sum())
        seen += len(images)
        if labels is not None and dataset is not None:
            right += int((ours.argmax(1) == labels).sum())
            exported_right += int((theirs.argmax(1) == labels).sum())
            progress(seen, len(dataset.test))
    relative = difference / largest if largest else (float("inf") if difference else 0.0)
    parity = Parity(
        max_difference=relative,
        argmax_agreement=agree / seen if seen else 0.0,
        images=0 if dataset is None else seen,
    )
    if dataset is None or not seen:
        return parity, None
    return parity, Accuracy(torch=right / seen, exported=exported_right / seen)
