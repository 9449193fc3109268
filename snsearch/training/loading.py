"""A surveyed data set -> uint8 tensors in memory, or in a mapped file where memory is short."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snsearch.errors import DataError
from snsearch.training.data import Dataset, Images
from snsearch.training.found import Listing, Progress, Role, Skipped, Unusable, first_line
from snsearch.training.manifest import manifest_of
from snsearch.training.memory import ROOM, available_memory, ran_out_of_memory
from snsearch.training.survey import Settled, Survey, settle


def allocate(shape: tuple[int, ...]) -> Tensor:
    """An uint8 tensor of the shape: in memory where it takes at most half of what is free, else in a mapped file.

    The file has no name (it goes when the process ends). Raises OSError where the disk has no room for it.
    """
    size = int(np.prod(shape))
    if size <= available_memory() // 2:
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.NamedTemporaryFile(prefix="snsearch-pixels-") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would kill the process later
        else:
            file.truncate(size)
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)


def loaded(surveyed: Survey, progress: Progress | None = None) -> Dataset:
    """The data set in memory. Raises DataError where it is refused, or does not fit."""
    if surveyed.found.refused:
        raise Unusable(surveyed.found.refused)
    try:
        return _loaded(surveyed, progress)
    except (MemoryError, RuntimeError, OSError) as error:
        if not isinstance(error, OSError) and not ran_out_of_memory(error):
            raise
        count = sum(map(len, surveyed.found.listings))
        channels, side = (1 if surveyed.color == "L" else 3), surveyed.side
        raise DataError(
            f"{surveyed.found.name}: {count:,} images of {channels}x{side}x{side} take "
            f"{count * channels * side**2 / 2**30:.1f} GiB, for which there is no room ({first_line(error)}); {ROOM}"
        ) from None


def _loaded(surveyed: Survey, progress: Progress | None) -> Dataset:
    found = surveyed.found
    pixels: dict[Role, Tensor] = {}
    kept: list[list[int]] = []
    skipped: list[Skipped] = []
    for listing in found.listings:
        if listing.pixels is None:
            pixels[listing.role], usable, bad = decode(surveyed, listing, progress)
            kept.append(usable)
            skipped += bad
        else:
            pixels[listing.role] = _padded(listing.pixels, surveyed.side)
            kept.append(list(range(len(listing))))
    settled = settle(surveyed, kept, skipped)
    if settled.description.refused:
        raise Unusable(settled.description.refused)
    return _divided(surveyed, settled, pixels, kept)


def decode(
    surveyed: Survey, listing: Listing, progress: Progress | None = None
) -> tuple[Tensor, list[int], list[Skipped]]:
    """Pixels (N, C, side, side) in the listing's order, the indices that they belong to, and what was skipped."""
    count = len(listing)
    pixels = allocate((count, 1 if surveyed.color == "L" else 3, surveyed.side, surveyed.side))
    kept: list[int] = []
    skipped: list[Skipped] = []
    for index, (values, reason) in enumerate(surveyed.decoded(listing, progress)):
        if values is None:
            skipped.append(Skipped(name=listing.names[index], reason=reason))
        else:
            pixels[len(kept)] = torch.from_numpy(values)
            kept.append(index)
    return pixels[: len(kept)], kept, skipped


def _padded(pixels: npt.NDArray[np.uint8], side: int) -> Tensor:
    """(N, 1, side, side) of (N, H, W): padded with black to a square, and to the side where a little smaller."""
    size = max(pixels.shape[1:])
    above, left = ((size - extent) // 2 for extent in pixels.shape[1:])
    square = np.zeros((len(pixels), size, size), dtype=np.uint8)
    square[:, above : above + pixels.shape[1], left : left + pixels.shape[2]] = pixels
    tensor = torch.from_numpy(square).unsqueeze(1)
    if side == size:
        return tensor
    if size < side <= size * 4 // 3:
        before = (side - size) // 2
        return torch.nn.functional.pad(tensor, (before, side - size - before) * 2)
    scaled = torch.nn.functional.interpolate(tensor.float(), (side, side), mode="bilinear", antialias=True)
    return scaled.round_().to(torch.uint8)


def _divided(surveyed: Survey, settled: Settled, pixels: dict[Role, Tensor], kept: list[list[int]]) -> Dataset:
    found, division = surveyed.found, settled.division
    index_of = {name: index for index, name in enumerate(settled.classes)}
    images = {
        listing.role: Images(
            pixels=pixels[listing.role],
            labels=torch.tensor([index_of[listing.labels[index]] for index in usable], dtype=torch.int64),
        )
        for listing, usable in zip(found.listings, kept, strict=True)
    }
    train, validation = images["train"], images.get("validation")
    test = images["test"] if division.test is None else train.take(torch.from_numpy(division.test))
    if division.test is not None:
        train = train.take(torch.from_numpy(division.train))
    if division.validation is not None:
        validation = train.take(torch.from_numpy(division.validation))
        if not found.scored_on_test:
            rest = np.delete(np.arange(len(train)), division.validation)
            train = train.take(torch.from_numpy(rest))
    return Dataset(
        name=found.name,
        source=found.source,
        classes=settled.classes,
        train=train,
        validation=validation,
        test=test,
        augmentation=found.augmentation,
        scored_on_test=found.scored_on_test,
        description=settled.description,
        manifest=manifest_of(_named(surveyed, kept)),
    )


def _named(surveyed: Survey, kept: list[list[int]]) -> Iterator[tuple[str, str, bytes]]:
    for listing, usable, heads in zip(surveyed.found.listings, kept, surveyed.heads, strict=True):
        for index in usable:
            head = heads[index]
            if head is not None:
                yield listing.names[index], listing.labels[index], head.digest
