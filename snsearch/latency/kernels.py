"""Operators -> KernelTerms: what a network asks of a library that packs channels, as ncnn does.

Such a library keeps 16, 8 or 4 channels side by side where the channels divide so, else single ones; multiplies
matrices in blocks of that many output channels; and runs a grouped convolution as one convolution a group, for
which it packs anew where the channels a group divide less. `terms` counts quantities that any library has to deal
with; these terms tell apart what a library of this kind does, and need figures enough to tell their rates: those that
`device_profile` measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snsearch.latency.terms import BYTES
from snsearch.network import Architecture, Op, block_ops, blocks, op_weights

PACKS = (16, 8, 4, 1)  # channels side by side; a library that has no registers so wide gives two of them one rate
ROWS = (16, 8, 4, 2, 1)  # output channels that a matrix kernel makes at once
FAST_SHUFFLES = 4  # groups up to which packed channels are shuffled as they are
FAR = (256 << 10, 512 << 10, 1 << 20, 2 << 20)  # bytes of caches that a form may have
KEPT_WEIGHTS = 1 << 20  # bytes of weights that a cache may keep from one run to the next


class KernelTerms(NamedTuple):
    """What a network asks of a library that packs channels. KERNEL_MEANINGS says what each term counts."""

    rows_16_macs: float
    rows_8_macs: float
    rows_4_macs: float
    rows_2_macs: float
    rows_1_macs: float
    read_16_bytes: float
    read_8_bytes: float
    read_4_bytes: float
    read_1_bytes: float
    write_16_bytes: float
    write_8_bytes: float
    write_4_bytes: float
    write_1_bytes: float
    repacked_bytes: float
    weight_bytes: float
    group_calls: float
    depthwise_16_macs: float
    depthwise_8_macs: float
    depthwise_4_macs: float
    depthwise_1_macs: float
    strided_depthwise_macs: float
    first_macs: float
    dense_3x3_macs: float
    dense_spatial_macs: float
    grouped_spatial_macs: float
    shuffle_bytes: float
    wide_shuffle_bytes: float
    single_shuffle_bytes: float
    element_bytes: float
    pool_bytes: float
    gate_bytes: float
    gate_weight_bytes: float
    linear_bytes: float
    far_256k_bytes: float
    far_512k_bytes: float
    far_1m_bytes: float
    far_2m_bytes: float
    streamed_weight_bytes: float
    operators: float
    gate_operators: float
    spatial_operators: float
    edge_bytes: float
    runs: float
    networks: float


KERNEL_MEANINGS: dict[str, str] = {
    **{f"rows_{rows}_macs": f"MACs of 1x1 convolutions in blocks of {rows} output channels a group" for rows in ROWS},
    **{f"read_{pack}_bytes": f"what 1x1 convolutions read in packs of {pack} channels a group" for pack in PACKS},
    **{f"write_{pack}_bytes": f"what 1x1 convolutions write in packs of {pack} channels a group" for pack in PACKS},
    "repacked_bytes": "what grouped convolutions read and write whose channels a group divide less than all do",
    "weight_bytes": "weights of convolutions that are not depthwise",
    "group_calls": "groups of grouped convolutions, each one call of the library",
    **{f"depthwise_{pack}_macs": f"MACs of depthwise convolutions in packs of {pack} channels" for pack in PACKS},
    "strided_depthwise_macs": "MACs of depthwise convolutions with a stride",
    "first_macs": "MACs of convolutions that read an image of up to 4 channels",
    "dense_3x3_macs": "MACs of other 3x3 convolutions in one group with a stride of 1, which fast transforms serve",
    "dense_spatial_macs": "MACs of other convolutions of more than one pixel in one group",
    "grouped_spatial_macs": "MACs of convolutions of more than one pixel in several groups, none of them depthwise",
    "shuffle_bytes": f"what shuffles of packed channels in up to {FAST_SHUFFLES} groups read and write",
    "wide_shuffle_bytes": f"what shuffles of packed channels in more than {FAST_SHUFFLES} groups read and write",
    "single_shuffle_bytes": "what shuffles of channels that are not packed read and write",
    "element_bytes": "what sums and concatenations read and write",
    "pool_bytes": "what pools read and write",
    "gate_bytes": "activations that squeeze-and-excitation pools and scales",
    "gate_weight_bytes": "weights of squeeze-and-excitation's layers",
    "linear_bytes": "weights of other fully connected layers",
    "far_256k_bytes": "what each convolution's input, output and weights exceed 256 KiB by",
    "far_512k_bytes": "what each convolution's input, output and weights exceed 512 KiB by",
    "far_1m_bytes": "what each convolution's input, output and weights exceed 1 MiB by",
    "far_2m_bytes": "what each convolution's input, output and weights exceed 2 MiB by",
    "streamed_weight_bytes": "what all weights together exceed 1 MiB by: no cache keeps them until the next run",
    "operators": "operators but squeeze-and-excitation's, each one call of the library",
    "gate_operators": "squeeze-and-excitation's operators, most of them on a single pixel",
    "spatial_operators": "convolutions of more than one pixel that are not depthwise, each one call of the library",
    "edge_bytes": "what comes from outside and goes there: the library packs it on the way",
    "runs": "runs of the model, which is one: what the library does once",
    "networks": "whole networks, one or none: each run begins with caches that hold the end of the one before",
}

_AT = {name: index for index, name in enumerate(KernelTerms._fields)}
_ROWS_AT = tuple((rows, _AT[f"rows_{rows}_macs"]) for rows in ROWS)
_READ_AT = {pack: _AT[f"read_{pack}_bytes"] for pack in PACKS}
_WRITE_AT = {pack: _AT[f"write_{pack}_bytes"] for pack in PACKS}
_DEPTHWISE_AT = {pack: _AT[f"depthwise_{pack}_macs"] for pack in PACKS}
_FAR_AT = tuple(zip(FAR, (_AT[f"far_{size}_bytes"] for size in ("256k", "512k", "1m", "2m")), strict=True))
_REPACKED, _WEIGHTS, _GROUP_CALLS = _AT["repacked_bytes"], _AT["weight_bytes"], _AT["group_calls"]
_STRIDED, _FIRST = _AT["strided_depthwise_macs"], _AT["first_macs"]
_DENSE_3X3, _DENSE_SPATIAL = _AT["dense_3x3_macs"], _AT["dense_spatial_macs"]
_GROUPED_SPATIAL, _OPERATORS = _AT["grouped_spatial_macs"], _AT["operators"]
_SPATIAL_OPERATORS, _NETWORKS = _AT["spatial_operators"], _AT["networks"]
_SHUFFLE, _WIDE_SHUFFLE = _AT["shuffle_bytes"], _AT["wide_shuffle_bytes"]
_SINGLE_SHUFFLE = _AT["single_shuffle_bytes"]
_ELEMENTS, _POOL, _GATE = _AT["element_bytes"], _AT["pool_bytes"], _AT["gate_bytes"]
_GATE_WEIGHTS, _LINEAR, _EDGE = _AT["gate_weight_bytes"], _AT["linear_bytes"], _AT["edge_bytes"]
_STREAMED, _GATE_OPERATORS, _RUNS = _AT["streamed_weight_bytes"], _AT["gate_operators"], _AT["runs"]


def pack_of(channels: int) -> int:
    """How many channels lie side by side."""
    return 16 if channels % 16 == 0 else 8 if channels % 8 == 0 else 4 if channels % 4 == 0 else 1


def _add(total: list[float], op: Op, ops: Sequence[Op], times: int) -> None:
    """Adds an operator's terms, that many times."""
    kind = op.kind
    if kind == "input":
        return
    gates = "se." in op.name
    total[_GATE_OPERATORS if gates else _OPERATORS] += times
    if kind == "linear":
        total[_GATE_WEIGHTS if gates else _LINEAR] += times * op_weights(op) * BYTES
        return
    read_elements = 0
    for index in op.inputs:
        read_elements += ops[index].elements
    made_elements = op.elements
    if kind == "conv":
        _add_convolution(total, op, read_elements * BYTES, made_elements * BYTES, times)
        return
    moved = times * (read_elements + made_elements) * BYTES
    if kind == "channel_shuffle":
        packed = pack_of(op.channels) > 1
        total[_SINGLE_SHUFFLE if not packed else _SHUFFLE if op.groups <= FAST_SHUFFLES else _WIDE_SHUFFLE] += moved
    elif gates:
        total[_GATE] += moved
    else:
        total[_ELEMENTS if kind in ("add", "concat") else _POOL] += moved


def _add_convolution(total: list[float], op: Op, read: int, made: int, times: int) -> None:
    channels_in, channels, groups = op.channels_in, op.channels, op.groups
    pixels = op.height * op.width
    weights = op_weights(op)
    macs = pixels * weights
    for size, at in _FAR_AT:
        beyond = read + made + weights * BYTES - size
        if beyond <= 0:
            break
        total[at] += times * beyond
    if groups > 1 and groups == channels_in == channels:
        total[_DEPTHWISE_AT[pack_of(channels)]] += times * macs
        if op.stride > 1:
            total[_STRIDED] += times * macs
        return
    total[_WEIGHTS] += times * weights * BYTES
    group_in, group_out = channels_in // groups, channels // groups
    if groups > 1:
        total[_GROUP_CALLS] += times * groups
        total[_REPACKED] += times * (
            (read if pack_of(channels_in) > pack_of(group_in) else 0)
            + (made if pack_of(channels) > pack_of(group_out) else 0)
        )
    if op.kernel == 1:
        left, step = group_out, times * pixels * groups * group_in
        for rows, at in _ROWS_AT:
            whole = left - left % rows
            total[at] += step * whole
            left -= whole
        total[_READ_AT[pack_of(group_in)]] += times * read
        total[_WRITE_AT[pack_of(group_out)]] += times * made
        return
    total[_SPATIAL_OPERATORS] += times
    if groups > 1:
        total[_GROUPED_SPATIAL] += times * macs
    elif channels_in <= 4:
        total[_FIRST] += times * macs
    else:
        total[_DENSE_3X3 if op.kernel == 3 and op.stride == 1 else _DENSE_SPATIAL] += times * macs


def _summed(total: list[float]) -> KernelTerms:
    """The terms, with those that are no sum over operators."""
    weights = total[_WEIGHTS] + total[_LINEAR] + total[_GATE_WEIGHTS]
    total[_STREAMED] = max(0.0, weights - KEPT_WEIGHTS)
    total[_RUNS] = 1.0
    return KernelTerms(*total)


def block_kernel_terms(ops: Sequence[Op]) -> KernelTerms:
    """The terms of operators that run alone, whose inputs are indices into the same sequence."""
    total = [0.0] * len(KernelTerms._fields)
    outputs = set(range(len(ops)))
    for op in ops:
        _add(total, op, ops, 1)
        outputs.difference_update(op.inputs)
        if op.kind == "input":
            total[_EDGE] += op.elements * BYTES
    total[_EDGE] += sum(ops[index].elements for index in outputs) * BYTES
    return _summed(total)


def network_kernel_terms(arch: Architecture) -> KernelTerms:
    """A network's terms, in about a hundred microseconds. Raises SpecError where channels do not divide."""
    total = [0.0] * len(KernelTerms._fields)
    for placed in blocks(arch):
        ops = block_ops(arch, placed.spec)
        for op in ops:
            _add(total, op, ops, placed.repeats)
    total[_NETWORKS] = 1.0
    height, width = arch.resolution
    total[_EDGE] += (arch.input_channels * height * width + arch.classes) * BYTES
    return _summed(total)
