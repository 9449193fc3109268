"""Blocks of many networks at once: their operators, with numpy arrays as channel numbers.

The same functions of `structure_units` and `costs` build and count them, so that a figure of one of the networks
equals what it has on its own. Integers have 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snsearch.network.arch import Architecture
from snsearch.network.costs import StageSums, deployed_params, op_macs, op_params, settings_of
from snsearch.network.graph import fill_block
from snsearch.network.operators import BlockBuilder, Op
from snsearch.network.structure_units import BlockSpec


class Mixed(Exception):
    """Some of the networks change their width in a block, and others do not."""


class ArrayBuilder(BlockBuilder):
    """Collects a block's operators for arrays of channel numbers; `valid` tells which of the networks have them."""

    __slots__ = ("_known", "_remainder", "valid")

    def __init__(self, channels: Any, height: int, width: int) -> None:
        super().__init__(channels, height, width)
        self.valid: Any = True
        self._remainder: Any = 0
        self._known: list[tuple[Any, int]] = []  # channels looked at, and by what they divide; 0: at least 1

    def at_least_one(self, channels: Any) -> Any:
        found = np.maximum(channels, 1)
        self._known.append((found, 0))
        return found

    def differ(self, one: Any, other: Any) -> bool:
        """Whether the numbers differ, in all networks or in none. Raises Mixed where some do."""
        if one is other:
            return False
        unequal = np.not_equal(one, other)
        if unequal.any() != unequal.all():
            raise Mixed
        return bool(unequal.any())

    def must_widen(self, channels_in: Any, channels_out: Any) -> None:
        self.valid = self.valid & (channels_out > channels_in)

    def must_divide(self, name: str, channels_in: Any, channels: Any, groups: Any) -> None:
        if channels is groups:  # a depthwise convolution
            return
        if self._is_new(channels, 0):
            self.valid = self.valid & np.greater_equal(channels, 1)
        for divided in (channels_in, channels) if groups != 1 else ():
            if self._is_new(divided, groups):
                self._remainder = self._remainder | divided % groups

    def _is_new(self, channels: Any, by: int) -> bool:
        """Whether these channels were not looked at yet."""
        if any(channels is known and by == divided_by for known, divided_by in self._known):
            return False
        self._known.append((channels, by))
        return True

    def all_valid(self) -> Any:
        """Which of the networks have the block."""
        return self.valid if isinstance(self._remainder, int) else self.valid & np.equal(self._remainder, 0)

    def must_match(self, name: str, read: Op, other: Op) -> None:
        if read.channels is not other.channels:
            self.valid = self.valid & np.equal(read.channels, other.channels)
        if (read.height, read.width) != (other.height, other.width):
            self.valid = np.zeros_like(self.valid)


def array_block(arch: Architecture, spec: BlockSpec) -> tuple[list[Op], Any]:
    """The operators of a block whose channel numbers may be arrays, and which of the networks have them.

    Args:
        arch: gives unit, bottleneck, shuffle and stem; its widths are not read.
        spec: `channels_in` and `channels_out` are arrays that broadcast together, or integers; the rest is common.

    Raises:
        Mixed: a unit's operators depend on whether its width changes, and some of the networks change it.
    """
    build = ArrayBuilder(spec.channels_in, spec.height_in, spec.width_in)
    fill_block(build, arch, spec)
    return build.ops, build.all_valid()


def macs_of(ops: Sequence[Op]) -> Any:
    """MACs of a block's operators."""
    return sum(op_macs(op) for op in ops if op.kind in ("conv", "linear"))  # adding 0 to an array takes time


def params_of(ops: Sequence[Op]) -> Any:
    """Parameters of a block's operators."""
    return sum(map(op_params, ops))


def deployed_of(ops: Sequence[Op]) -> Any:
    """Values of the deployed model of a block's operators."""
    return sum(map(deployed_params, ops))


_MOST_TABLES = 1 << 10
_LONGEST_TABLE = 1 << 14
_tables: dict[Any, Any] = {}  # the figure of a block for every number of output channels from 1 on


class StageArrays(StageSums):
    """A figure of many networks as a sum over their stages, for a solver that tries many widths at once.

    Widths are arrays that broadcast together, or integers. Figures are float64 or integers, exact up to 2**53, and
    NaN where a network cannot be built.
    """

    def __init__(self, arch: Architecture, figure: Callable[[Sequence[Op]], Any] = macs_of) -> None:
        """`figure` is that of a block's operators, MACs by default; what a function gives is remembered."""
        super().__init__(arch)
        self._figure = figure

    def _block(self, spec: BlockSpec) -> Any:
        before, after = spec.channels_in, spec.channels_out
        if isinstance(after, int) or not (before is after or isinstance(before, int)):
            return self._count(spec)
        most = int(np.max(after, initial=1))
        if most > _LONGEST_TABLE:
            return self._count(spec)
        is_even = before is after
        spec = spec._replace(channels_in=0 if is_even else before, channels_out=0)
        key = self._figure, settings_of(self._arch), spec
        table = _tables.get(key)
        if table is None or len(table) < most:
            if len(_tables) >= _MOST_TABLES:
                _tables.clear()
            widths = np.arange(1, max(256, 1 << most.bit_length()) + 1)
            counted = self._count(spec._replace(channels_in=widths if is_even else before, channels_out=widths))
            table = _tables[key] = np.broadcast_to(counted, widths.shape)
        return table[after - 1]

    def _count(self, spec: BlockSpec) -> Any:
        try:
            ops, valid = array_block(self._arch, spec)
        except Mixed:
            return self._by_change(spec)
        figure = self._figure(ops)
        return figure if valid is True else np.where(valid, figure, np.nan)

    def _by_change(self, spec: BlockSpec) -> Any:
        """The figure where some of the networks change their width in the block, and others do not."""
        widths_in, widths_out = np.broadcast_arrays(spec.channels_in, spec.channels_out)
        found = np.full(widths_in.shape, np.nan)
        same = widths_in == widths_out
        for chosen in (same, ~same):
            found[chosen] = self._block(spec._replace(channels_in=widths_in[chosen], channels_out=widths_out[chosen]))
        return found
