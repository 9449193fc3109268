"""What other counters count for the same graph, in closed form, and which operators differ.

Papers, profilers and frameworks mean different things by FLOPs. Each convention here is a rule per operator, taken
from the source of the named tool; `verify` checks it against the tool itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from snsearch.network.costs import op_macs
from snsearch.network.graph import OpGraph
from snsearch.network.operators import Op

Convention = Literal["paper", "thop", "fvcore", "torch"]


def _thop(op: Op, read_elements: int) -> int:
    """thop 0.1.1: 4 per element of batch norm, 1 per output of average pooling, area + 1 of adaptive pooling."""
    if op.kind == "avg_pool":
        return op.elements
    if op.kind == "global_pool":
        return read_elements + op.elements
    return op_macs(op) + (4 * op.elements if op.norm else 0)


def _fvcore(op: Op, read_elements: int) -> int:
    """fvcore 0.1.5 in evaluation mode: 2 per element of batch norm, 1 per input element of adaptive pooling."""
    if op.kind == "global_pool":
        return read_elements
    return op_macs(op) + (2 * op.elements if op.norm else 0)


RULES: dict[Convention, tuple[str, Callable[[Op, int], int]]] = {
    "paper": (
        "multiply-adds of convolutions and fully connected layers; what a budget means here",
        lambda op, read_elements: op_macs(op),
    ),
    "thop": ("thop.profile: adds batch norm (4 an element) and average pooling", _thop),
    "fvcore": (
        "fvcore FlopCountAnalysis, evaluation mode: adds batch norm (2 an element) and global pooling",
        _fvcore,
    ),
    "torch": (
        "torch FlopCounterMode: two operations a multiply-add",
        lambda op, read_elements: 2 * op_macs(op),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConventionCount:
    """A network's total under one convention, and how it differs from the paper's."""

    convention: Convention
    meaning: str
    total: int
    difference: dict[str, int]  # counts beyond multiply-adds, by what they count; empty for the paper's convention


def _source(op: Op) -> str:
    """What a convention counts for the operator beyond its MACs."""
    if op.kind == "conv":
        if op.groups == op.channels == op.channels_in and op.groups > 1:
            layer = "depthwise convolutions"
        elif op.kernel > 1:
            layer = f"{op.kernel}x{op.kernel} convolutions"
        else:
            layer = "grouped 1x1 convolutions" if op.groups > 1 else "1x1 convolutions"
        return f"batch norm behind {layer}"
    return {"avg_pool": "average pooling", "global_pool": "global pooling", "linear": "fully connected layers"}[
        op.kind
    ]


def count_conventions(graph: OpGraph) -> tuple[ConventionCount, ...]:
    """The graph's total under every convention, with its differences from the paper's."""
    counts = []
    for convention, (meaning, rule) in RULES.items():
        total = 0
        difference: dict[str, int] = {}
        for op in graph.ops[1:]:
            value = rule(op, graph.ops[op.inputs[0]].elements)
            total += value
            if convention != "torch" and value != op_macs(op):
                source = _source(op)
                difference[source] = difference.get(source, 0) + value - op_macs(op)
        if convention == "torch":
            difference = {"two operations a multiply-add": total // 2}
        counts.append(ConventionCount(convention=convention, meaning=meaning, total=total, difference=difference))
    return tuple(counts)
