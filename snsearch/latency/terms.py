"""Operators -> Terms: the physical quantities that a latency model gives rates to.

A network's terms are sums over its operators. Bytes are counted at four a value whatever the deployed precision:
a rate is fitted for one device, library and precision, and absorbs the size of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snsearch.network import SIMD_CHANNELS, Architecture, Op, block_ops, blocks, op_weights

BYTES = 4


class Terms(NamedTuple):
    """What a network asks of a device. MEANINGS says what each term counts."""

    dense_pointwise_macs: float
    grouped_pointwise_macs: float
    dense_3x3_macs: float
    dense_spatial_macs: float
    grouped_spatial_macs: float
    depthwise_macs: float
    depthwise_bytes: float
    conv_bytes: float
    weight_bytes: float
    linear_bytes: float
    element_bytes: float
    gate_bytes: float
    group_pixels: float
    padding_macs: float
    far_bytes: float
    operators: float


MEANINGS: dict[str, str] = {
    "dense_pointwise_macs": "MACs of 1x1 convolutions in one group",
    "grouped_pointwise_macs": "MACs of 1x1 convolutions in several groups",
    "dense_3x3_macs": "MACs of 3x3 convolutions in one group with a stride of 1: those that fast transforms serve",
    "dense_spatial_macs": "MACs of other convolutions of more than one pixel in one group, the first one included",
    "grouped_spatial_macs": "MACs of convolutions of more than one pixel in several groups, none of them depthwise",
    "depthwise_macs": "MACs of depthwise convolutions",
    "depthwise_bytes": "activations that depthwise convolutions read and write",
    "conv_bytes": "activations that other convolutions read and write",
    "weight_bytes": "weights of convolutions that are not depthwise",
    "linear_bytes": "weights of fully connected layers",
    "element_bytes": "activations that pools, shuffles, sums and concatenations read and write",
    "gate_bytes": "activations that squeeze-and-excitation pools and scales",
    "group_pixels": "output pixels of each convolution times its groups (once where depthwise): inner loops begun",
    "padding_macs": "MACs that convolutions gain when their channels a group are filled up to multiples of 4",
    "far_bytes": "what each convolution's input, output and weights exceed the profile's cache by",
    "operators": "operators, each one call of the library",
}

NO_TERMS = Terms(*(0.0,) * len(Terms._fields))

# Positions in Terms, for adding up: prediction spends most of its time here.
(
    _DENSE_POINTWISE,
    _GROUPED_POINTWISE,
    _DENSE_3X3,
    _DENSE_SPATIAL,
    _GROUPED_SPATIAL,
    _DEPTHWISE,
    _DEPTHWISE_BYTES,
    _CONV_BYTES,
    _WEIGHT_BYTES,
    _LINEAR_BYTES,
    _ELEMENT_BYTES,
    _GATE_BYTES,
    _GROUP_PIXELS,
    _PADDING,
    _FAR_BYTES,
    _OPERATORS,
) = range(len(Terms._fields))


def _filled(channels: int) -> int:
    return -(-channels // SIMD_CHANNELS) * SIMD_CHANNELS


def _add(total: list[float], op: Op, ops: Sequence[Op], times: int, cache_bytes: int | None) -> None:
    """Adds an operator's terms, that many times."""
    kind = op.kind
    if kind == "input":
        return
    total[_OPERATORS] += times
    if kind == "linear":
        total[_LINEAR_BYTES] += times * op_weights(op) * BYTES
        return
    channels_in, channels, groups, kernel = op.channels_in, op.channels, op.groups, op.kernel
    pixels = op.height * op.width
    values = channels * pixels
    for index in op.inputs:
        values += ops[index].elements
    moved = values * BYTES
    if kind != "conv":
        gates = kind == "scale" or (kind == "global_pool" and "se." in op.name)
        total[_GATE_BYTES if gates else _ELEMENT_BYTES] += times * moved
        return
    weights = op_weights(op)
    macs = pixels * weights
    if cache_bytes is not None:
        total[_FAR_BYTES] += times * max(0, moved + weights * BYTES - cache_bytes)
    if groups > 1 and groups == channels_in == channels:
        total[_DEPTHWISE] += times * macs
        total[_DEPTHWISE_BYTES] += times * moved
        total[_GROUP_PIXELS] += times * pixels
        return
    if kernel == 1:
        total[_GROUPED_POINTWISE if groups > 1 else _DENSE_POINTWISE] += times * macs
    elif groups > 1:
        total[_GROUPED_SPATIAL] += times * macs
    else:
        total[_DENSE_3X3 if kernel == 3 and op.stride == 1 else _DENSE_SPATIAL] += times * macs
    read, made = channels_in // groups, channels // groups
    total[_CONV_BYTES] += times * moved
    total[_WEIGHT_BYTES] += times * weights * BYTES
    total[_GROUP_PIXELS] += times * pixels * groups
    total[_PADDING] += times * macs * (_filled(read) * _filled(made) / (read * made) - 1)


def ops_terms(ops: Sequence[Op], cache_bytes: int | None = None) -> Terms:
    """The sum over operators, whose inputs are indices into the same sequence."""
    total = [0.0] * len(Terms._fields)
    for op in ops:
        _add(total, op, ops, 1, cache_bytes)
    return Terms(*total)


def network_terms(arch: Architecture, cache_bytes: int | None = None) -> Terms:
    """A network's terms, in about a hundred microseconds. Raises SpecError where channels do not divide."""
    total = [0.0] * len(Terms._fields)
    for placed in blocks(arch):
        ops = block_ops(arch, placed.spec)
        for op in ops:
            _add(total, op, ops, placed.repeats, cache_bytes)
    return Terms(*total)
