"""Blocks of many networks at once: their operators, with numpy arrays in the place of channel numbers.

The same functions of `structure_units` and `costs` build and count them, so that a figure of one of the networks
equals what it has on its own. Integers have 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snsearch.network.arch import Architecture
from snsearch.network.costs import StageSums, op_macs
from snsearch.network.graph import fill_block
from snsearch.network.operators import BlockBuilder, Op
from snsearch.network.structure_units import BlockSpec


class Mixed(Exception):
    """Some of the networks change their width in a block, and others do not."""


class ArrayBuilder(BlockBuilder):
    """Collects a block's operators for arrays of channel numbers; `valid` tells which of the networks have them."""

    __slots__ = ("valid",)

    def __init__(self, channels: Any, height: int, width: int) -> None:
        super().__init__(channels, height, width)
        self.valid: Any = True

    def at_least_one(self, channels: Any) -> Any:
        return np.maximum(channels, 1)

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
        self.valid = self.valid & np.greater_equal(channels, 1)
        if groups != 1:
            self.valid = self.valid & (channels_in % groups == 0) & (channels % groups == 0)

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
    return build.ops, build.valid


def macs_of(ops: Sequence[Op]) -> Any:
    """MACs of a block's operators."""
    return sum(map(op_macs, ops))


class StageArrays(StageSums):
    """A figure of many networks as a sum over their stages, for a solver that tries many widths at once.

    Widths are arrays that broadcast together, or integers. Figures are float64 or integers, exact up to 2**53, and
    NaN where a network cannot be built.
    """

    def __init__(self, arch: Architecture, figure: Callable[[Sequence[Op]], Any] = macs_of) -> None:
        """`figure` is that of a block's operators, MACs by default."""
        super().__init__(arch)
        self._figure = figure

    def _block(self, spec: BlockSpec) -> Any:
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
