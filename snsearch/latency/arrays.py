"""Terms of many networks at once: blocks whose channel numbers are numpy arrays.

What `terms` and `kernels` count for one network, without a branch on a number of channels. All terms are integers, so
that sums are exact up to 2**53 in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snsearch.latency.kernels import FAR, FAST_SHUFFLES, KEPT_WEIGHTS, PACKS, ROWS
from snsearch.latency.profile import Profile
from snsearch.latency.terms import BYTES
from snsearch.network import SIMD_CHANNELS, Architecture, Op, op_weights


class ArrayTerms(dict[str, Any]):
    """Integers, or arrays of them that broadcast together, by term; a term that is not there is 0."""

    def add(self, term: str, amount: Any, where: Any = True) -> None:
        """Adds to a term, in the networks of a mask; not in place, since what is added may be of a larger shape."""
        if where is False:
            return
        if where is not True:
            amount = where * amount
        self[term] = self[term] + amount if term in self else amount


def array_terms(ops: Sequence[Op], profile: Profile) -> ArrayTerms:
    """The terms of a block's operators that the profile counts, but for those that are not sums over operators."""
    total = ArrayTerms()
    sizes = [op.channels * (op.height * op.width) for op in ops]
    add = _add_kernel if profile.counting == "kernels" else _add_quantity
    for op, written in zip(ops[1:], sizes[1:], strict=True):
        read = sum(sizes[index] for index in op.inputs)
        add(total, op, read * BYTES, written * BYTES, profile.cache_bytes)
    return total


def _is_depthwise(op: Op) -> Any:
    """Whether a convolution is depthwise: for each network, or one bool where all agree."""
    if isinstance(op.groups, int) and op.groups == 1:
        return False
    if op.groups is op.channels and op.groups is op.channels_in:
        found = np.greater(op.groups, 1)
    else:
        found = np.equal(op.groups, op.channels_in) & np.equal(op.groups, op.channels)
    return bool(np.all(found)) if np.all(found) or not np.any(found) else found


def _beyond(size: Any, limit: int) -> Any:
    return np.maximum(size - limit, 0)


def _padded(channels: Any) -> Any:
    return -(-channels // SIMD_CHANNELS) * SIMD_CHANNELS


def _add_quantity(total: ArrayTerms, op: Op, read: Any, written: Any, cache_bytes: int | None) -> None:
    total.add("operators", 1)
    moved = read + written
    weights = op_weights(op)
    if op.kind == "linear":
        total.add("linear_bytes", weights * BYTES)
        return
    if op.kind != "conv":
        gates = op.kind == "scale" or (op.kind == "global_pool" and "se." in op.name)
        total.add("gate_bytes" if gates else "element_bytes", moved)
        return
    pixels = op.height * op.width
    macs = pixels * weights
    if cache_bytes is not None:
        total.add("far_bytes", _beyond(moved + weights * BYTES, cache_bytes))
    depthwise = _is_depthwise(op)
    total.add("depthwise_macs", macs, depthwise)
    total.add("depthwise_bytes", moved, depthwise)
    total.add("group_pixels", pixels, depthwise)
    if depthwise is True:
        return
    other = True if depthwise is False else ~depthwise
    if isinstance(op.groups, int):
        dense, grouped = (False, other) if op.groups > 1 else (other, False)
    else:
        dense, grouped = other & np.less_equal(op.groups, 1), other & np.greater(op.groups, 1)
    group_in, group_out = op.channels_in // op.groups, op.channels // op.groups
    if op.kernel == 1:
        total.add("dense_pointwise_macs", macs, dense)
        total.add("grouped_pointwise_macs", macs, grouped)
    else:
        total.add("dense_3x3_macs" if op.kernel == 3 and op.stride == 1 else "dense_spatial_macs", macs, dense)
        total.add("grouped_spatial_macs", macs, grouped)
    total.add("conv_bytes", moved, other)
    total.add("weight_bytes", weights * BYTES, other)
    total.add("group_pixels", pixels * op.groups, other)
    added = _padded(group_in) * _padded(group_out) - group_in * group_out
    total.add("padding_macs", pixels * op.groups * op.kernel * op.kernel * added, other)


def _pack_of(channels: Any) -> Any:
    """As `kernels.pack_of`: the power of two that divides the channels, of at most 16, and 1 in the place of 2."""
    pack = np.minimum(channels & -channels, PACKS[0])
    return np.where(pack == 2, 1, pack)


def _add_packed(total: ArrayTerms, name: str, pack: Any, amount: Any) -> None:
    for one in PACKS:
        total.add(name.format(one), (pack == one) * amount)


def _add_kernel(total: ArrayTerms, op: Op, read: Any, written: Any, cache_bytes: int | None) -> None:
    gates = "se." in op.name
    total.add("gate_operators" if gates else "operators", 1)
    moved = read + written
    if op.kind == "linear":
        total.add("gate_weight_bytes" if gates else "linear_bytes", op_weights(op) * BYTES)
    elif op.kind == "conv":
        _add_convolution(total, op, read, written)
    elif op.kind == "channel_shuffle":
        single = _pack_of(op.channels) == 1
        total.add("single_shuffle_bytes", single * moved)
        total.add("shuffle_bytes" if op.groups <= FAST_SHUFFLES else "wide_shuffle_bytes", ~single * moved)
    elif gates:
        total.add("gate_bytes", moved)
    else:
        total.add("element_bytes" if op.kind in ("add", "concat") else "pool_bytes", moved)


def _add_convolution(total: ArrayTerms, op: Op, read: Any, written: Any) -> None:
    weights = op_weights(op)
    macs = op.height * op.width * weights
    for size, name in zip(FAR, ("256k", "512k", "1m", "2m"), strict=True):
        total.add(f"far_{name}_bytes", _beyond(read + written + weights * BYTES, size))
    depthwise = _is_depthwise(op)
    if np.any(depthwise):
        _add_packed(total, "depthwise_{}_macs", _pack_of(op.channels), depthwise * macs)
        if op.stride > 1:
            total.add("strided_depthwise_macs", depthwise * macs)
        if np.all(depthwise):
            return
    other = np.logical_not(depthwise)
    several = other & np.greater(op.groups, 1)
    total.add("weight_bytes", other * weights * BYTES)
    group_in, group_out = op.channels_in // op.groups, op.channels // op.groups
    pack_in, pack_out = _pack_of(group_in), _pack_of(group_out)
    total.add("group_calls", several * op.groups)
    repacked = (_pack_of(op.channels_in) > pack_in) * read + (_pack_of(op.channels) > pack_out) * written
    total.add("repacked_bytes", several * repacked)
    if op.kernel == 1:
        left, step = group_out, other * (op.height * op.width * op.groups) * group_in
        for rows in ROWS:
            whole = left - left % rows
            total.add(f"rows_{rows}_macs", step * whole)
            left = left - whole
        _add_packed(total, "read_{}_bytes", pack_in, other * read)
        _add_packed(total, "write_{}_bytes", pack_out, other * written)
        return
    total.add("spatial_operators", 1 * other)
    total.add("grouped_spatial_macs", several * macs)
    dense = (other & ~several) * macs
    image = np.less_equal(op.channels_in, 4)
    total.add("first_macs", image * dense)
    total.add("dense_3x3_macs" if op.kernel == 3 and op.stride == 1 else "dense_spatial_macs", ~image * dense)


def completed(total: ArrayTerms, arch: Architecture, profile: Profile) -> ArrayTerms:
    """The sums over a network's blocks with the terms that are not sums over operators.

    Args:
        total: of all blocks.
        arch: gives input and classes.
        profile: that counts.
    """
    if profile.counting != "kernels":
        return total
    height, width = arch.resolution
    weights = sum(total.get(name, 0) for name in ("weight_bytes", "linear_bytes", "gate_weight_bytes"))
    edges = (arch.input_channels * height * width + arch.classes) * BYTES
    streamed = _beyond(weights, KEPT_WEIGHTS)
    return ArrayTerms(total, streamed_weight_bytes=streamed, runs=1, networks=1, edge_bytes=edges)
