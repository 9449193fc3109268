"""The rows and columns that a window's input is padded with, from the sizes of input and output."""

from __future__ import annotations

from typing import NamedTuple

from snsearch.errors import SpecError
from snsearch.network import Op


class Padding(NamedTuple):
    """What is added on each side."""

    left: int
    right: int
    top: int
    bottom: int


def padding_of(op: Op, read: Op) -> Padding:
    """The padding with which an operator's window makes its output of what it reads.

    "Same" (half of the kernel on both sides, as `model` pads) where that gives the output's size; else none, where
    that does; else what is missing, the odd one at the end. Raises SpecError where the output is too small for that.
    """
    left, right = _sides(op, read.width, op.width)
    top, bottom = _sides(op, read.height, op.height)
    return Padding(left, right, top, bottom)


def _sides(op: Op, size_in: int, size_out: int) -> tuple[int, int]:
    for sides in (op.kernel // 2, 0):
        if (size_in + 2 * sides - op.kernel) // op.stride + 1 == size_out and size_in + 2 * sides >= op.kernel:
            return sides, sides
    missing = (size_out - 1) * op.stride + op.kernel - size_in
    if not 0 <= missing < 2 * op.kernel:
        raise SpecError(
            f"{op.name}: a {op.kernel}x{op.kernel} window of stride {op.stride} cannot make "
            f"{size_out} of {size_in} pixels"
        )
    return missing // 2, missing - missing // 2
