"""What a profile predicts for each operator of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snsearch.latency.kernels import block_kernel_terms
from snsearch.latency.profile import Profile
from snsearch.latency.terms import ops_terms, predict_ms
from snsearch.network import Architecture, Op, network_blocks, op_macs, op_params

_EDGES = ("edge_bytes", "networks")  # of a whole network, and of no operator


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """One operator with what it takes."""

    name: str
    kind: str
    op: Op
    macs: int
    params: int
    ms: float | None  # None without a profile


def priced(arch: Architecture, profile: Profile | None) -> Iterator[Priced]:
    """The operators of a network in running order, with their predicted milliseconds."""
    numbers: dict[str, int] = {}
    for block in network_blocks(arch):
        ops = block.ops
        times = [None if profile is None else _ms(ops, at, profile) for at in range(len(ops))]
        for _ in range(block.repeats):
            unit = numbers[block.name] = numbers.get(block.name, -1) + 1
            prefix = f"{block.name}.{unit}" if block.name.startswith("stage") else block.name
            for op, ms in list(zip(ops, times, strict=True))[1:]:
                yield Priced(
                    name=f"{prefix}.{op.name}", kind=kind_of(op), op=op, macs=op_macs(op), params=op_params(op), ms=ms
                )


def _ms(ops: Sequence[Op], at: int, profile: Profile) -> float:
    """What one of a block's operators adds to the predicted latency: the terms that no other operator has."""
    alone = [op if index == at else op._replace(inputs=(), kind="input") for index, op in enumerate(ops)]
    kernels = profile.counting == "kernels"
    terms = block_kernel_terms(alone) if kernels else ops_terms(alone, profile.cache_bytes)
    return predict_ms({name: rate for name, rate in profile.rates if name not in _EDGES}, terms)


def kind_of(op: Op) -> str:
    """The kind of an operator, as the charts name it."""
    if op.kind == "conv":
        if op.groups > 1 and op.groups == op.channels_in == op.channels:
            return "depthwise"
        if op.kernel > 1:
            return "convolution"
        return "grouped 1x1" if op.groups > 1 else "1x1"
    return {"channel_shuffle": "shuffle", "shuffle": "shuffle", "linear": "classifier"}.get(
        op.kind, "pool, sum, gate"
    )


OPERATOR_KINDS = ("convolution", "1x1", "grouped 1x1", "depthwise", "shuffle", "pool, sum, gate", "classifier")
