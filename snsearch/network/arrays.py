"""Blocks of many networks at once: their operators, with numpy arrays in the place of channel numbers.

The same functions of `structure_units` and `costs` build and count them, so that a figure of one of the networks
equals what it has on its own. Integers have 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from snsearch.network.arch import Architecture
from snsearch.network.costs import op_macs
from snsearch.network.graph import blocks, fill_block
from snsearch.network.operators import Activation, BlockBuilder, Op, strided
from snsearch.network.structure_units import BlockSpec

Numbers = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]
Measure = Callable[[list[Op]], Any]  # a block's operators -> a figure that adds up over blocks, as an array


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

    def conv(
        self,
        name: str,
        source: int,
        channels: Any,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: Any = 1,
        activation: Activation = "relu",
        ends_branch: bool = False,
    ) -> int:
        read = self.ops[source]
        if channels is not groups:  # not a depthwise one
            self.valid = self.valid & np.greater_equal(channels, 1)
            if groups != 1:
                self.valid = self.valid & (read.channels % groups == 0) & (channels % groups == 0)
        height, width = strided(read.height, stride), strided(read.width, stride)
        return self._append(
            Op(
                name, "conv", (source,), read.channels, channels, height, width, kernel, stride, groups, True, False,
                activation, ends_branch,
            )
        )  # fmt: skip

    def add(self, name: str, left: int, right: int) -> int:
        read, other = self.ops[left], self.ops[right]
        if read.channels is not other.channels:
            self.valid = self.valid & (read.channels == other.channels)
        if (read.height, read.width) != (other.height, other.width):
            self.valid = np.zeros_like(self.valid)
        return self._elementwise(name, "add", (left, right), read.channels, "relu")


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


def macs_of(ops: list[Op]) -> Any:
    """MACs of operators."""
    return sum(map(op_macs, ops))


class StageArrays:
    """A figure of networks as a sum over their stages, for a solver that tries many widths at once.

    `stem(channels)`, `stage(i, widths_in, widths_out)` of every stage and `head(widths)` add up to the figure of the
    network with those widths. Each takes arrays that broadcast together, and gives the figures as float64, exact up
    to 2**53; NaN where a network cannot be built.
    """

    def __init__(self, arch: Architecture, measure: Measure = macs_of) -> None:
        self._arch = arch
        self._measure = measure
        self._placed = tuple(blocks(arch))

    def _block(self, spec: BlockSpec) -> Any:
        try:
            ops, valid = array_block(self._arch, spec)
        except Mixed:
            return self._by_change(spec)
        figure = self._measure(ops)
        return figure if valid is True else np.where(valid, figure, np.nan)

    def _by_change(self, spec: BlockSpec) -> Any:
        """The figures where some of the networks change their width in the block, and others do not."""
        widths_in, widths_out = np.broadcast_arrays(spec.channels_in, spec.channels_out)
        found = np.full(widths_in.shape, np.nan)
        same = widths_in == widths_out
        for chosen in (same, ~same):
            found[chosen] = self._block(spec._replace(channels_in=widths_in[chosen], channels_out=widths_out[chosen]))
        return found

    def stem(self, channels: Any) -> Any:
        """Of the first convolution."""
        return self._block(self._placed[0].spec._replace(channels_out=channels))

    def stage(self, index: int, widths_in: Any, widths_out: Any) -> Any:
        """Of stage `index`, from 0."""
        total: Any = 0
        for placed in self._placed:
            if placed.name == f"stage{index + 2}":
                spec = placed.spec._replace(channels_in=widths_in, channels_out=widths_out)
                total = total + placed.repeats * self._block(spec)
                widths_in = widths_out
        return total

    def head(self, widths: Any) -> Any:
        """Of the classifier."""
        return self._block(self._placed[-1].spec._replace(channels_in=widths))
