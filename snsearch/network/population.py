"""Populations: many networks that differ in widths, units and choices per stage, counted at once.

Blocks that agree are counted once, as arrays of those that differ in channels only; every figure equals that of the
network on its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.arrays import array_block
from snsearch.network.costs import (
    BYTES_PER_VALUE,
    Precision,
    deployed_params,
    elements_moved,
    op_macs,
    op_params,
    peak_elements,
)
from snsearch.network.graph import blocks
from snsearch.network.operators import Op
from snsearch.network.structure_units import BlockSpec

Integers = npt.NDArray[np.int64]
Figures = Callable[[Sequence[Op]], Sequence[Any]]  # of a block: integers, or arrays of them

_AT_ONCE = 1 << 16  # networks whose blocks are added up at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Networks of one unit, stem, strides, input and class count; one row of each array per network."""

    like: Architecture  # gives what all have in common
    stem_channels: Integers
    stage_channels: Integers  # a column per stage, as in what follows
    stage_repeats: Integers
    groups: Integers
    se_reduction: Integers
    shuffle: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, networks: Sequence[Architecture]) -> Self:
        """The population of these networks. Raises SpecError if there are none, or they differ in more."""
        if not networks:
            raise SpecError("a population has at least one network")
        varying = ("stem_channels", "stage_channels", "stage_repeats", "groups", "se_reduction", "shuffle")
        common = {name: getattr(networks[0], name) for name in varying}
        for arch in networks:
            if replace(arch, **common) != networks[0]:
                raise SpecError(
                    f"{arch.key} and {networks[0].key} differ in more than widths, units, groups, SE and shuffle; "
                    "count them as several populations"
                )
        arrays: dict[str, Any] = {name: np.array([getattr(arch, name) for arch in networks]) for name in varying}
        return cls(like=networks[0], **arrays)

    def __len__(self) -> int:
        return len(self.stem_channels)

    def network(self, index: int) -> Architecture:
        """One of the networks. Raises SpecError if its numbers are none of a network."""

        def stages(values: Integers) -> tuple[int, ...]:
            return tuple(map(int, values[index]))

        return replace(
            self.like,
            stem_channels=int(self.stem_channels[index]),
            stage_channels=stages(self.stage_channels),
            stage_repeats=stages(self.stage_repeats),
            groups=stages(self.groups),
            se_reduction=stages(self.se_reduction),
            shuffle=bool(self.shuffle[index]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulationCosts:
    """The totals of a population's networks, as in Costs; 0 where a network cannot be built."""

    buildable: npt.NDArray[np.bool_]
    macs: Integers
    params: Integers
    weight_bytes: Integers
    bytes_moved: Integers
    peak_activation_bytes: Integers


def _figures(ops: Sequence[Op]) -> Sequence[Any]:
    return (
        sum(map(op_macs, ops)),
        sum(map(op_params, ops)),
        sum(map(deployed_params, ops)),
        sum(elements_moved(op, ops) for op in ops[1:]),
        peak_elements(ops, np.maximum, np.minimum),
    )


def count_population(population: Population, precision: Precision = "float32") -> PopulationCosts:
    """The totals of many networks. Takes a few microseconds for each."""
    size = BYTES_PER_VALUE[precision]
    found = np.empty((len(population), 5), np.int64)
    buildable = np.empty(len(population), np.bool_)
    for part, totals, built in over_blocks(population, _figures, 5, peaks=1):
        found[part], buildable[part] = totals, built
    macs, params, deployed, moved, peak = found.T
    return PopulationCosts(
        buildable=buildable,
        macs=macs,
        params=params,
        weight_bytes=deployed * size,
        bytes_moved=moved * size,
        peak_activation_bytes=peak * size,
    )


def over_blocks(
    population: Population, figures: Figures, count: int, *, peaks: int = 0
) -> Iterator[tuple[slice, Integers, npt.NDArray[np.bool_]]]:
    """Some of the networks at a time: which, their figures in rows, and which of them can be built.

    Args:
        population: the networks.
        figures: of a block.
        count: how many figures there are.
        peaks: how many of the last ones are the most of all blocks; the others are sums.
    """
    tables = [_table(population.like, part, figures, count) for part in _parts(population)]
    sums = count - peaks
    for start in range(0, len(population), _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, len(population)))
        totals = np.zeros((part.stop - start, count), np.int64)
        buildable = np.ones(part.stop - start, np.bool_)
        for rows, places, times in tables:
            found = rows[places[part]]
            present = np.broadcast_to(times, len(population))[part, None]
            totals[:, :sums] += found[:, :sums] * present
            totals[:, sums:] = np.maximum(totals[:, sums:], found[:, sums:-1] * (present > 0))
            buildable &= (found[:, -1] == 0) | (present[:, 0] == 0)
        yield part, totals * buildable[:, None], buildable


@dataclass(frozen=True, slots=True)
class _Part:
    """A block of every network: what differs in numbers that are no channels, and how many times it is there."""

    spec: BlockSpec
    channels_in: Any
    channels_out: Any
    groups: Any
    se_reduction: Any
    shuffle: Any
    times: Any


def _parts(population: Population) -> Iterator[_Part]:
    like = replace(population.like, stage_repeats=(2,) * len(population.like.stage_repeats))
    before: Any = population.stem_channels
    stage = -1
    for placed in blocks(like):
        spec = placed.spec
        if spec.kind == "stem":
            yield _Part(spec, spec.channels_in, before, 1, 0, False, 1)
        elif spec.kind == "head":
            yield _Part(spec, before, spec.channels_out, 1, 0, False, 1)
        else:
            is_first = placed.name != f"stage{stage + 2}"
            stage += is_first
            after = population.stage_channels[:, stage]
            chosen = (population.groups[:, stage], population.se_reduction[:, stage], population.shuffle)
            times = 1 if is_first else population.stage_repeats[:, stage] - 1
            yield _Part(spec, before, after, *chosen, times)
            before = after


class _Table(NamedTuple):
    """The different blocks at one place of the networks."""

    rows: Integers  # the figures of each, and 1 behind those that cannot be built
    places: npt.NDArray[np.intp]  # each network's row
    times: Any  # how many times each network has the block


def _table(like: Architecture, part: _Part, figures: Figures, count: int) -> _Table:
    numbers = (part.shuffle, part.groups, part.se_reduction, part.channels_in, part.channels_out)
    columns = np.broadcast_arrays(*(np.asarray(one, np.int64) for one in numbers))
    most = [int(column.max()) + 1 for column in columns]
    if math.prod(most) < 2**62:  # sorting one number takes much less time than sorting rows of five
        key = np.zeros(1, np.int64)
        for column, size in zip(columns, most, strict=True):
            key = key * size + column
        _, first, places = np.unique(key, return_index=True, return_inverse=True)
    else:
        _, first, places = np.unique(np.stack(columns, 1), axis=0, return_index=True, return_inverse=True)
    shuffle, groups, se, before, after = (column[first] for column in columns)
    rows = np.zeros((len(first), count + 1), np.int64)
    structure = np.stack([shuffle, groups, se, before == after], axis=1)
    for one in np.unique(structure, axis=0):
        chosen = np.nonzero((structure == one).all(axis=1))[0]
        channels: Any = {"channels_in": before[chosen], "channels_out": after[chosen]}
        spec = part.spec._replace(groups=int(one[1]), se_reduction=int(one[2]), **channels)
        ops, valid = array_block(replace(like, shuffle=bool(one[0])), spec)
        for index, figure in enumerate(figures(ops)):
            rows[chosen, index] = figure
        rows[chosen, count] = np.logical_not(valid)
    return _Table(rows, places.reshape(-1), part.times)
