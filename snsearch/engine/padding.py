"""The padding of a convolution or pooling, from the sizes of its input and output."""

from __future__ import annotations

from snsearch.errors import SpecError
from snsearch.network import Op


def padding_of(op: Op, read: Op) -> tuple[int, int, int, int]:
    """The pixels left, right, above and below with which an operator makes its output's size from that of `read`.

    Half of the kernel on both sides, as torch modules pad, if that gives the size; else none, if that does; else what
    is missing, with the odd pixel at the end. Raises SpecError if no padding gives the size.
    """
    return *_sides(op, read.width, op.width), *_sides(op, read.height, op.height)


def _sides(op: Op, size_in: int, size_out: int) -> tuple[int, int]:
    for sides in (op.kernel // 2, 0):
        if (size_in + 2 * sides - op.kernel) // op.stride + 1 == size_out and size_in + 2 * sides >= op.kernel:
            return sides, sides
    missing = (size_out - 1) * op.stride + op.kernel - size_in
    if not 0 <= missing < 2 * op.kernel:
        raise SpecError(
            f"{op.name}: no padding makes {size_out} of {size_in} pixels with a {op.kernel}x{op.kernel} kernel and "
            f"stride {op.stride}"
        )
    return missing // 2, missing - missing // 2
