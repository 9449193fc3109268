"""Operators -> terms: the physical quantities that a latency model has rates for.

A network's terms are sums over its operators. Bytes are counted at four per value whatever the deployed precision: a
rate is fitted for one device, library and precision, so it includes the size of a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snsearch.network import SIMD_CHANNELS, AnyNetwork, Op, network_blocks, op_weights

BYTES = 4
VIEWS = ("slice", "flatten")  # other names for what is in memory already: they cost nothing

Terms = Mapping[str, float]  # by name, in the order of MEANINGS
Rates = Mapping[str, float]  # nanoseconds per unit of a term, by the term's name

# What each term counts.
MEANINGS: dict[str, str] = {
    "dense_pointwise_macs": "MACs of 1x1 convolutions in one group",
    "grouped_pointwise_macs": "MACs of 1x1 convolutions in several groups",
    "dense_3x3_macs": "MACs of 3x3 convolutions in one group with a stride of 1",
    "dense_spatial_macs": "MACs of other convolutions of more than one pixel in one group, including the first one",
    "grouped_spatial_macs": "MACs of convolutions of more than one pixel in several groups, except depthwise ones",
    "depthwise_macs": "MACs of depthwise convolutions",
    "depthwise_bytes": "activations that depthwise convolutions read and write",
    "conv_bytes": "activations that other convolutions read and write",
    "weight_bytes": "weights of convolutions, except depthwise ones",
    "linear_bytes": "weights of fully connected layers",
    "element_bytes": "activations that pools, shuffles, sums and concatenations read and write",
    "gate_bytes": "activations that squeeze-and-excitation pools and scales",
    "group_pixels": "output pixels of each convolution times its groups (once if depthwise): inner loops started",
    "padding_macs": "MACs added to convolutions by padding their channels per group to multiples of 4",
    "far_bytes": "bytes of each convolution's input, output and weights beyond the profile's cache size",
    "operators": "operators, each one call of the library",
}


def _padded(channels: int) -> int:
    return -(-channels // SIMD_CHANNELS) * SIMD_CHANNELS


def with_elements(ops: Sequence[Op]) -> Iterator[tuple[Op, int, int]]:
    """Each operator that is not an input, with the elements that it reads and those that it writes."""
    sizes = [op.channels * op.height * op.width for op in ops]  # inline: calling the property takes longer
    for op, written in zip(ops, sizes, strict=True):
        if op.inputs and op.kind not in VIEWS:
            read = 0
            for index in op.inputs:
                read += sizes[index]
            yield op, read, written


def _add(total: dict[str, float], op: Op, elements: int, times: int, cache_bytes: int | None) -> None:
    """Adds the terms of an operator that reads and writes that many elements, `times` times.

    Prediction spends most of its time here.
    """
    kind = op.kind
    total["operators"] += times
    if kind == "linear":
        total["linear_bytes"] += times * op_weights(op) * BYTES
        return
    channels_in, channels, groups, kernel = op.channels_in, op.channels, op.groups, op.kernel
    pixels = op.height * op.width
    moved = elements * BYTES
    if kind != "conv":
        gates = kind == "scale" or (kind == "global_pool" and "se." in op.name)
        total["gate_bytes" if gates else "element_bytes"] += times * moved
        return
    weights = op_weights(op)
    macs = pixels * weights
    if cache_bytes is not None:
        total["far_bytes"] += times * max(0, moved + weights * BYTES - cache_bytes)
    if groups > 1 and groups == channels_in == channels:
        total["depthwise_macs"] += times * macs
        total["depthwise_bytes"] += times * moved
        total["group_pixels"] += times * pixels
        return
    if kernel == 1:
        total["grouped_pointwise_macs" if groups > 1 else "dense_pointwise_macs"] += times * macs
    elif groups > 1:
        total["grouped_spatial_macs"] += times * macs
    else:
        total["dense_3x3_macs" if kernel == 3 and op.stride == 1 else "dense_spatial_macs"] += times * macs
    group_in, group_out = channels_in // groups, channels // groups
    total["conv_bytes"] += times * moved
    total["weight_bytes"] += times * weights * BYTES
    total["group_pixels"] += times * pixels * groups
    if group_in % SIMD_CHANNELS or group_out % SIMD_CHANNELS:
        added = _padded(group_in) * _padded(group_out) - group_in * group_out
        total["padding_macs"] += times * pixels * groups * kernel * kernel * added


def ops_terms(ops: Sequence[Op], cache_bytes: int | None = None) -> Terms:
    """The terms of operators whose inputs are indices into the same sequence.

    `cache_bytes` is the size beyond which "far_bytes" count; without it they are 0.
    """
    total = dict.fromkeys(MEANINGS, 0.0)
    for op, read, written in with_elements(ops):
        _add(total, op, read + written, 1, cache_bytes)
    return total


def network_terms(network: AnyNetwork, cache_bytes: int | None = None) -> Terms:
    """A network's terms, as `ops_terms` counts them. Takes about a hundred microseconds.

    Raises SpecError if groups do not divide channels.
    """
    total = dict.fromkeys(MEANINGS, 0.0)
    for block in network_blocks(network):
        for op, read, written in with_elements(block.ops):
            _add(total, op, read + written, block.repeats, cache_bytes)
    return total


def predict_ms(rates: Rates, terms: Terms) -> float:
    """Milliseconds by the rates."""
    return sum(rate * terms[term] for term, rate in rates.items()) / 1e6
