"""Feeds: the splits of a data set for a full training, from memory or decoded as they are needed.

Data that does not fit into memory is decoded by worker processes, in the same order and to the same pixels.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snsearch.training.data import Dataset, Images
from snsearch.training.description import Description
from snsearch.training.found import Augmentation, Listing, Options, Progress, Read, Unusable
from snsearch.training.images import bombs_refused, decode_image
from snsearch.training.loading import loaded
from snsearch.training.memory import available_memory, room_for
from snsearch.training.sources import find_data
from snsearch.training.survey import Settled, Survey, settle, survey

BROKEN = -100  # the label of an image that could not be decoded: torch's losses leave it out
_STATISTICS_IMAGES = 2048  # of streamed data, by which it is normalised
Order = Iterable[Sequence[int] | npt.NDArray[np.int64]]  # the images of each batch, by their positions in the split


class Feed(Protocol):
    """One split: its labels, and its images in any order."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""

    def batches(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels (B, C, H, W) uint8 and labels (B,) of each batch, on the CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryFeed:
    """A split in memory."""

    images: Images

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return self.images.labels

    def batches(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels of each batch."""
        for positions in order:
            part = self.images.take(torch.as_tensor(positions))
            yield part.pixels, part.labels


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamedFeed:
    """A split whose images are decoded by worker processes when a batch needs them; 0 workers: by this process."""

    surveyed: Survey
    read: Read
    indices: npt.NDArray[np.int64]  # of the images in their listing
    labels: Tensor
    workers: int

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """A batch; what cannot be decoded is black, and labelled as BROKEN."""
        of = self.surveyed
        labels = self.labels[torch.as_tensor(positions)].clone()
        pixels = torch.zeros((len(positions), _channels(of), of.side, of.side), dtype=torch.uint8)
        with bombs_refused():
            for row, position in enumerate(positions):
                try:
                    image = decode_image(self.read(int(self.indices[position])), of.color, of.side, of.depth)
                except MemoryError:
                    raise
                except Exception:  # decoders raise anything on a file made or broken to that end
                    labels[row] = BROKEN
                else:
                    pixels[row] = torch.from_numpy(image)
        return pixels, labels

    def batches(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels of each batch, which workers decode ahead."""
        from torch.utils.data import DataLoader

        # What a listing reads by cannot be sent to a process that is not forked.
        workers = self.workers if sys.platform == "linux" else 0
        yield from DataLoader(
            self,  # type: ignore[arg-type]  # has all that a map-style data set needs
            batch_sampler=order,  # type: ignore[arg-type]  # any iterable serves
            collate_fn=_as_it_is,  # __getitems__ makes the batch
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="fork" if workers else None,
            generator=torch.Generator(),  # not torch's global one
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def _channels(surveyed: Survey) -> int:
    return 1 if surveyed.color == "L" else 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Feeds:
    """A data set for a full training: choices are made by `validation`, which no training image is in."""

    name: str
    classes: tuple[str, ...]
    channels: int
    side: int
    mean: tuple[float, ...]  # per channel of the training images
    std: tuple[float, ...]
    augmentation: Augmentation  # of the data: whether mirrored images mean the same
    train: Feed
    validation: Feed | None  # None: there are too few images
    test: Feed
    description: Description | None
    fingerprint: str
    streamed: bool


def open_feeds(
    spec: str,
    side: int,
    *,
    options: Options | None = None,
    stream: bool | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Feeds:
    """The feeds of the data set that a `--data` text names, at `side` pixels.

    Args:
        spec: as for `load_data`; the splits are the same, but validation images are always held out.
        side: pixels a side.
        options: splits and columns.
        stream: decode images as they are needed; None: where they would take more than half of the free memory.
        workers: processes that decode.
        progress: hears of headers and images that are read.

    Raises:
        DataError: there is no such data, or it cannot be used.
    """
    with room_for(spec):
        surveyed = survey(replace(find_data(spec, options), scored_on_test=False), side, None, progress)
        listings = surveyed.found.listings
        size = sum(map(len, listings)) * _channels(surveyed) * side**2
        wanted = size > available_memory() // 2 if stream is None else stream
        if surveyed.found.refused or not wanted or any(listing.pixels is not None for listing in listings):
            return _of_dataset(loaded(surveyed, progress))
        return _streamed(surveyed, workers)


def _of_dataset(dataset: Dataset) -> Feeds:
    mean, std = dataset.statistics
    validation = dataset.validation if dataset.validation is not None and len(dataset.validation) else None
    return Feeds(
        name=dataset.name,
        classes=dataset.classes,
        channels=dataset.channels,
        side=dataset.side,
        mean=mean,
        std=std,
        augmentation=dataset.augmentation,
        train=MemoryFeed(images=dataset.train),
        validation=None if validation is None else MemoryFeed(images=validation),
        test=MemoryFeed(images=dataset.test),
        description=dataset.description,
        fingerprint=dataset.fingerprint(),
        streamed=False,
    )


def _streamed(surveyed: Survey, workers: int) -> Feeds:
    found = surveyed.found
    readable = [np.array([i for i, head in enumerate(heads) if head is not None]) for heads in surveyed.heads]
    settled = settle(surveyed, [part.tolist() for part in readable], ())
    if settled.description.refused:
        raise Unusable(settled.description.refused)
    at = {listing.role: number for number, listing in enumerate(found.listings)}
    division = settled.division

    def feed(role: str, positions: npt.NDArray[np.int64] | None = None) -> StreamedFeed:
        number = at[role]  # type: ignore[index]  # one of the roles
        indices = readable[number] if positions is None else readable[number][positions]
        return _feed(surveyed, settled, found.listings[number], indices, workers)

    held_out = division.validation
    train = feed("train", division.train if held_out is None else np.delete(division.train, held_out))
    validation = feed("train", division.train[held_out]) if held_out is not None else feed("validation")
    mean, std = _statistics(train)
    return Feeds(
        name=found.name,
        classes=settled.classes,
        channels=_channels(surveyed),
        side=surveyed.side,
        mean=mean,
        std=std,
        augmentation=found.augmentation,
        train=train,
        validation=validation if len(validation) else None,
        test=feed("test") if division.test is None else feed("train", division.test),
        description=settled.description,
        fingerprint=_fingerprint(surveyed),
        streamed=True,
    )


def _feed(
    surveyed: Survey, settled: Settled, listing: Listing, indices: npt.NDArray[np.int64], workers: int
) -> StreamedFeed:
    index_of = {name: index for index, name in enumerate(settled.classes)}
    assert listing.read is not None
    return StreamedFeed(
        surveyed=surveyed,
        read=listing.read,
        indices=indices,
        labels=torch.tensor([index_of[listing.labels[index]] for index in indices], dtype=torch.int64),
        workers=workers,
    )


def _statistics(train: StreamedFeed) -> tuple[tuple[float, ...], tuple[float, ...]]:
    some = np.random.default_rng(0).permutation(len(train))[:_STATISTICS_IMAGES]
    parts = [pixels[labels != BROKEN] for pixels, labels in train.batches(np.array_split(some, len(some) // 64 + 1))]
    pixels = torch.cat(parts).float()
    std = pixels.std(dim=(0, 2, 3), correction=0).clamp_min(1.0)
    return tuple(pixels.mean(dim=(0, 2, 3)).tolist()), tuple(std.tolist())


def _fingerprint(surveyed: Survey) -> str:
    digest = hashlib.sha256(f"{surveyed.color} {surveyed.side} {surveyed.depth}".encode())
    for listing, heads in zip(surveyed.found.listings, surveyed.heads, strict=True):
        for label, head in zip(listing.labels, heads, strict=True):
            digest.update(f"{listing.role} {label}\0".encode() + (b"" if head is None else head.digest))
    return digest.hexdigest()[:16]
