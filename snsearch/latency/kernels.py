"""Operators -> terms of a library that packs channels, as ncnn does.

Such a library stores 16, 8 or 4 channels side by side if their number divides by that, else single channels. It
multiplies matrices in blocks of that many output channels. It runs a grouped convolution as one convolution per
group, and repacks channels if those of a group need a smaller pack. `terms` has the quantities that cost any library
time; these terms describe what this kind of library does. Their rates need many measurements to be told apart: those
that `snsearch device profile` makes.
"""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.latency.terms import BYTES, Terms, with_elements
from snsearch.network import AnyNetwork, Op, network_blocks, op_weights

PACKS = (16, 8, 4, 1)  # channels side by side; without registers for 16, packs of 16 and of 8 have one rate
ROWS = (16, 8, 4, 2, 1)  # output channels that a matrix kernel computes at once
FAST_SHUFFLES = 4  # the most groups whose packed channels are shuffled without unpacking
FAR = (256 << 10, 512 << 10, 1 << 20, 2 << 20)  # cache sizes that a form may have, in bytes
KEPT_WEIGHTS = 1 << 20  # weights that a cache may keep from one run to the next, in bytes

# What each term counts.
KERNEL_MEANINGS: dict[str, str] = {
    **{f"rows_{rows}_macs": f"MACs of 1x1 convolutions in blocks of {rows} outputs per group" for rows in ROWS},
    **{f"read_{pack}_bytes": f"bytes that 1x1 convolutions read in packs of {pack} per group" for pack in PACKS},
    **{f"write_{pack}_bytes": f"bytes that 1x1 convolutions write in packs of {pack} per group" for pack in PACKS},
    "repacked_bytes": "bytes that grouped convolutions repack, as a group's channels need smaller packs than all",
    "weight_bytes": "weights of convolutions, except depthwise ones",
    "group_calls": "groups of grouped convolutions, each one call of the library",
    **{f"depthwise_{pack}_macs": f"MACs of depthwise convolutions in packs of {pack} channels" for pack in PACKS},
    "strided_depthwise_macs": "MACs of depthwise convolutions with a stride",
    "first_macs": "MACs of convolutions that read an image of up to 4 channels",
    "dense_3x3_macs": "MACs of other 3x3 convolutions in one group with a stride of 1",
    "dense_spatial_macs": "MACs of other convolutions of more than one pixel in one group",
    "grouped_spatial_macs": "MACs of convolutions of more than one pixel in several groups, except depthwise ones",
    "shuffle_bytes": f"bytes that shuffles of packed channels in up to {FAST_SHUFFLES} groups read and write",
    "wide_shuffle_bytes": f"bytes that shuffles of packed channels in over {FAST_SHUFFLES} groups read and write",
    "single_shuffle_bytes": "bytes that shuffles of unpacked channels read and write",
    "element_bytes": "bytes that sums and concatenations read and write",
    "pool_bytes": "bytes that pools read and write",
    "gate_bytes": "activations that squeeze-and-excitation pools and scales",
    "gate_weight_bytes": "weights of squeeze-and-excitation's layers",
    "linear_bytes": "weights of other fully connected layers",
    **{
        f"far_{size}_bytes": f"bytes of each convolution's input, output and weights beyond {text}"
        for size, text in (("256k", "256 KiB"), ("512k", "512 KiB"), ("1m", "1 MiB"), ("2m", "2 MiB"))
    },
    "streamed_weight_bytes": "bytes of all weights together beyond 1 MiB: no cache keeps them until the next run",
    "operators": "operators, except squeeze-and-excitation's, each one call of the library",
    "gate_operators": "squeeze-and-excitation's operators, most of them on a single pixel",
    "spatial_operators": "convolutions of more than one pixel, except depthwise ones, each one call of the library",
    "edge_bytes": "bytes of the model's inputs and outputs: the library packs and unpacks them",
    "runs": "always 1: what the library does once per run",
    "networks": "1 for a whole network, 0 for a block: a network's run starts with caches full of its own end",
}

_ROWS = tuple((rows, f"rows_{rows}_macs") for rows in ROWS)
_READ = {pack: f"read_{pack}_bytes" for pack in PACKS}
_WRITE = {pack: f"write_{pack}_bytes" for pack in PACKS}
_DEPTHWISE = {pack: f"depthwise_{pack}_macs" for pack in PACKS}
_FAR = tuple(zip(FAR, (f"far_{size}_bytes" for size in ("256k", "512k", "1m", "2m")), strict=True))


def pack_of(channels: int) -> int:
    """How many channels the library stores side by side."""
    return 16 if channels % 16 == 0 else 8 if channels % 8 == 0 else 4 if channels % 4 == 0 else 1


def _add(total: dict[str, float], op: Op, read: int, written: int, times: int) -> None:
    """Adds the terms of an operator that reads and writes that many bytes, `times` times."""
    kind = op.kind
    gates = "se." in op.name
    total["gate_operators" if gates else "operators"] += times
    if kind == "linear":
        total["gate_weight_bytes" if gates else "linear_bytes"] += times * op_weights(op) * BYTES
        return
    if kind == "conv":
        _add_convolution(total, op, read, written, times)
        return
    moved = times * (read + written)
    if kind == "channel_shuffle" and pack_of(op.channels) == 1:
        total["single_shuffle_bytes"] += moved
    elif kind == "channel_shuffle":
        total["shuffle_bytes" if op.groups <= FAST_SHUFFLES else "wide_shuffle_bytes"] += moved
    elif gates:
        total["gate_bytes"] += moved
    else:
        total["element_bytes" if kind in ("add", "concat", "activate") else "pool_bytes"] += moved


def _add_convolution(total: dict[str, float], op: Op, read: int, written: int, times: int) -> None:
    channels_in, channels, groups = op.channels_in, op.channels, op.groups
    pixels = op.height * op.width
    weights = op_weights(op)
    macs = pixels * weights
    for size, at in _FAR:
        beyond = read + written + weights * BYTES - size
        if beyond <= 0:
            break
        total[at] += times * beyond
    if groups > 1 and groups == channels_in == channels:
        total[_DEPTHWISE[pack_of(channels)]] += times * macs
        if op.stride > 1:
            total["strided_depthwise_macs"] += times * macs
        return
    total["weight_bytes"] += times * weights * BYTES
    group_in, group_out = channels_in // groups, channels // groups
    if groups > 1:
        total["group_calls"] += times * groups
        total["repacked_bytes"] += times * (
            (read if pack_of(channels_in) > pack_of(group_in) else 0)
            + (written if pack_of(channels) > pack_of(group_out) else 0)
        )
    if op.kernel == 1:
        left, step = group_out, times * pixels * groups * group_in
        for rows, at in _ROWS:
            whole = left - left % rows
            total[at] += step * whole
            left -= whole
        total[_READ[pack_of(group_in)]] += times * read
        total[_WRITE[pack_of(group_out)]] += times * written
        return
    total["spatial_operators"] += times
    if groups > 1:
        total["grouped_spatial_macs"] += times * macs
    elif channels_in <= 4:
        total["first_macs"] += times * macs
    else:
        total["dense_3x3_macs" if op.kernel == 3 and op.stride == 1 else "dense_spatial_macs"] += times * macs


def _summed(total: dict[str, float]) -> Terms:
    """The terms, completed by those that are not sums over operators."""
    weights = total["weight_bytes"] + total["linear_bytes"] + total["gate_weight_bytes"]
    total["streamed_weight_bytes"] = max(0.0, weights - KEPT_WEIGHTS)
    total["runs"] = 1.0
    return total


def block_kernel_terms(ops: Sequence[Op]) -> Terms:
    """The terms of operators that run as a model of their own; their inputs are indices into the same sequence."""
    total = dict.fromkeys(KERNEL_MEANINGS, 0.0)
    for op, read, written in with_elements(ops):
        _add(total, op, read * BYTES, written * BYTES, 1)
    inputs = {index for index, op in enumerate(ops) if op.kind == "input"}
    outputs = set(range(len(ops))).difference(*(op.inputs for op in ops))
    total["edge_bytes"] = float(sum(ops[index].elements for edge in (inputs, outputs) for index in edge) * BYTES)
    return _summed(total)


def network_kernel_terms(network: AnyNetwork) -> Terms:
    """A network's terms. Takes about a hundred microseconds.

    Raises SpecError if groups do not divide channels.
    """
    total = dict.fromkeys(KERNEL_MEANINGS, 0.0)
    for block in network_blocks(network):
        for op, read, written in with_elements(block.ops):
            _add(total, op, read * BYTES, written * BYTES, block.repeats)
    total["networks"] = 1.0
    height, width = network.resolution
    total["edge_bytes"] += (network.input_channels * height * width + network.classes) * BYTES
    return _summed(total)
