"""What a search will take: memory and time, estimated from what its networks compute.

The coefficients were measured with 32, 64 and 96 pixels, batches of 64 and 3 to 93 MMACs on one x86-64 core; the
estimates were within a third of the memory measured. Time differs more between machines. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from snsearch.network import AnyNetwork, count_costs, network_blocks

# A process with torch, and what its kernels keep.
_PROCESS_BYTES = 400 * 2**20
# Training keeps every operator's output for the backward pass, and as much again for gradients and workspaces.
_BYTES_PER_OUTPUT = 4 * 2.0
# Float32 weights, gradients, AdamW's two moments, averaged weights, and a copy while they are scored.
_BYTES_PER_PARAMETER = 4 * 6
# Forward and backward pass.
_SECONDS_PER_MAC = 0.3e-9
_SECONDS_PER_OUTPUT = 6e-9
_SECONDS_PER_PARAMETER = 4e-9  # of a step


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Estimates for a whole search."""

    memory: float  # bytes, all workers and the data set
    seconds: float  # on CPU cores


def expect(
    networks: Iterable[AnyNetwork],
    *,
    batch_size: int,
    images_per_training: int,
    trainings: int,
    workers: int,
    data_bytes: int,
) -> Expectation:
    """Estimates for trainings of networks like these, which are given at the input that they are trained at."""
    memory: list[float] = []
    seconds: list[float] = []
    for network in networks:
        costs = count_costs(network)
        found = network_blocks(network)
        outputs = sum(block.repeats * sum(op.elements for op in block.ops[1:]) for block in found)
        memory.append(batch_size * outputs * _BYTES_PER_OUTPUT + costs.params * _BYTES_PER_PARAMETER)
        seconds.append(costs.macs * _SECONDS_PER_MAC + outputs * _SECONDS_PER_OUTPUT
                       + costs.params * _SECONDS_PER_PARAMETER / batch_size)  # fmt: skip
    return Expectation(
        memory=workers * (_PROCESS_BYTES + max(memory)) + data_bytes,
        seconds=fmean(seconds) * images_per_training * trainings / workers,
    )
