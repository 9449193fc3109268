"""A part of a data set in memory, at a deployed network's resolution: what exports are checked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snsearch.training.found import Listing, Options, Progress, Role
from snsearch.training.loading import loaded
from snsearch.training.memory import room_for
from snsearch.training.sources import find_data
from snsearch.training.survey import Settled, Survey, settle, survey

if TYPE_CHECKING:
    from snsearch.training.data import Dataset

_SEED = 0


def load_sample(
    spec: str,
    side: int,
    *,
    train: int,
    test: int,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """At most that many training and test images of a data set, drawn by a fixed seed; its description is whole.

    The splits are those of `load_data`. Only the drawn images are decoded, except where test images are held out of
    files: then which ones depends on which files can be read.

    Raises:
        DataError: There is no such data, it cannot be used, or it does not fit into memory.
    """
    import torch

    with room_for(spec):
        surveyed = survey(find_data(spec, options), side, None, progress)
        found = surveyed.found
        if found.refused or (found.of_role("test") is None and found.listings[0].pixels is None):
            dataset = loaded(surveyed, progress)
            parts = (dataset.train, train), (dataset.test, test)
            drawn = (part.take(torch.from_numpy(_drawn(np.arange(len(part)), most))) for part, most in parts)
            return replace(dataset, train=next(drawn), test=next(drawn))
        readable = [[at for at, head in enumerate(heads) if head is not None] for heads in surveyed.heads]
        settled = settle(surveyed, readable, ())
        return replace(
            loaded(_narrowed(surveyed, readable, settled, train, test), progress), description=settled.description
        )


def _drawn(of: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    return np.sort(np.random.default_rng(_SEED).permutation(of)[:most])


def _narrowed(surveyed: Survey, readable: Sequence[Sequence[int]], settled: Settled, train: int, test: int) -> Survey:
    """The survey with two listings, of the drawn images."""
    found, division = surveyed.found, settled.division
    at = {listing.role: number for number, listing in enumerate(found.listings)}
    of_train = division.train
    if division.validation is not None and not found.scored_on_test:
        of_train = np.delete(of_train, division.validation)
    held_out = division.test is not None
    of_test = division.test if division.test is not None else np.arange(len(readable[at["test"]]))
    wanted: tuple[tuple[Role, Role, npt.NDArray[np.int64], int], ...] = (
        ("train", "train", of_train, train),
        ("test", "train" if held_out else "test", of_test, test),
    )
    listings, heads = [], []
    for role, source, positions, most in wanted:
        indices = [readable[at[source]][position] for position in _drawn(positions, most)]
        listings.append(_part(found.listings[at[source]], role, indices))
        heads.append(tuple(surveyed.heads[at[source]][index] for index in indices))
    # Scored on test images: no validation images are held out of the drawn ones.
    narrowed = replace(found, listings=tuple(listings), classes=settled.classes, scored_on_test=True)
    return replace(surveyed, found=narrowed, heads=tuple(heads))


def _part(listing: Listing, role: Role, indices: Sequence[int]) -> Listing:
    read, pixels = listing.read, listing.pixels
    return replace(
        listing,
        role=role,
        names=[listing.names[index] for index in indices],
        labels=[listing.labels[index] for index in indices],
        read=None if read is None else lambda number: read(indices[number]),
        pixels=None if pixels is None else pixels[list(indices)],
    )
