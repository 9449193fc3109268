"""OpGraph -> CostReport: exact MACs, parameters, bytes moved and peak activation memory.

The conventions, which hold everywhere in snsearch:

- MACs are the multiply-adds of convolutions and fully connected layers. Batch norm, activations, pooling,
  shuffles, biases and element-wise operators count nothing. The papers call this FLOPs.
- params are the trainable values of a training framework: weights, biases, and two per channel of batch norm.
- weight_bytes is the size of the deployed model: batch norm is folded into one bias per channel.
- bytes_moved: every operator reads its inputs and weights once and writes its output once; batch norm and
  activation are fused into the operator before them.
- peak_activation_bytes: while an operator runs, its inputs, its output and every tensor that a later operator
  reads are live. A tensor is freed after its last reader. Only the fused epilogue works in place. The peak is that
  of the best order in which the operators can run. It is found exactly, block by block, since only one tensor is
  live between two blocks. The input image counts; weights do not. Of a block of hundreds of operators, which only
  NASNet has, it is the peak of the listed order: one that can be met, and perhaps not the least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.graph import OpGraph, PlacedBlock, block_ops, blocks, network_blocks
from snsearch.network.known.named import AnyNetwork, NamedNetwork
from snsearch.network.operators import Op
from snsearch.network.structure_units import BlockSpec

Precision = Literal["float32", "float16", "int8"]
BYTES_PER_VALUE: dict[Precision, int] = {"float32": 4, "float16": 2, "int8": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """A network's totals. Sizes are in bytes at the requested precision."""

    macs: int
    params: int
    weight_bytes: int
    bytes_moved: int
    peak_activation_bytes: int

    @property
    def mflops(self) -> float:
        """Millions of MACs: the MFLOPs of the papers."""
        return self.macs / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class OpCost:
    """One operator's costs in a cost report."""

    name: str
    kind: str
    output: tuple[int, int, int]  # channels, height, width
    macs: int
    params: int
    bytes_moved: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CostReport:
    """A network's totals, and the costs of its operators in running order."""

    architecture: AnyNetwork
    precision: Precision
    totals: Costs
    operators: tuple[OpCost, ...]

    def __repr__(self) -> str:
        return f"<{self.architecture.key}: {self.totals.macs / 1e6:.1f} MFLOPs, {len(self.operators)} operators>"


def op_macs(op: Op) -> int:
    """MACs of one operator: output pixels x output channels x input channels per group x kernel area."""
    if op.kind == "conv":
        inputs = 1 if op.groups is op.channels_in else op.channels_in // op.groups
        return op.height * op.width * op.kernel * op.kernel * inputs * op.channels
    return op.channels_in * op.channels if op.kind == "linear" else 0


def op_weights(op: Op) -> int:
    """Elements of the operator's weight tensor, without bias and norm."""
    if op.kind == "conv":
        inputs = 1 if op.groups is op.channels_in else op.channels_in // op.groups
        return op.kernel * op.kernel * inputs * op.channels
    return op.channels_in * op.channels if op.kind == "linear" else 0


def op_params(op: Op) -> int:
    """Trainable values: weights, bias, and batch norm's scale and shift."""
    return op_weights(op) + op.channels * (2 * op.norm + op.bias)


def deployed_params(op: Op) -> int:
    """Values of the deployed model: weights, and a bias that batch norm is folded into."""
    return op_weights(op) + op.channels * (op.norm or op.bias)


def elements_moved(op: Op, ops: Sequence[Op]) -> int:
    """Elements that the operator reads and writes, weights among them."""
    return sum(ops[index].elements for index in op.inputs) + op.elements + deployed_params(op)


def peak_elements(ops: Sequence[Op], larger: Callable[..., Any] = max, smaller: Callable[..., Any] = min) -> Any:
    """The least possible peak of live elements over all orders in which a block's operators can run.

    Exact: a walk over the sets of operators that can have run, each with the least peak that reaches it.

    Args:
        ops: the first is the block's input, the last makes its output.
        larger: the larger of two numbers of elements, or of two arrays of them.
        smaller: likewise.
    """
    sizes = [op.channels * op.height * op.width for op in ops]  # inline: calling the property takes longer
    live, peak = [sizes[0]], [sizes[0]]  # of each set of operators that can have run; the peak is the least
    for before, index, freed, after in _steps(tuple(op.inputs for op in ops)):
        grown = live[before] + sizes[index]
        highest = larger(peak[before], grown)
        if after < len(peak):
            peak[after] = smaller(highest, peak[after])
        else:
            for source in freed:
                grown = grown - sizes[source]
            live.append(grown)
            peak.append(highest)
    return peak[-1]


@lru_cache(maxsize=256)
def _steps(inputs: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, int, tuple[int, ...], int], ...]:
    """From which set of operators that have run which one runs, what it frees, and which set that gives.

    Sets are numbered as a breadth-first walk from the block's input finds them. The set alone says what is live.
    """
    readers = [0] * len(inputs)  # bit set of the operators that read each tensor
    for index, sources in enumerate(inputs):
        for source in sources:
            readers[source] |= 1 << index
    numbers = {1: 0}
    found: list[tuple[int, int, tuple[int, ...], int]] = []
    frontier = [1]
    for _ in range(len(inputs) - 1):
        reached: list[int] = []
        for ran in frontier:
            for index, sources in enumerate(inputs):
                after = ran | 1 << index
                if after == ran or not all(ran >> source & 1 for source in sources):
                    continue
                if after not in numbers:
                    numbers[after] = len(numbers)
                    reached.append(after)
                freed = tuple(source for source in sources if not readers[source] & ~after)
                found.append((numbers[ran], index, freed, numbers[after]))
        frontier = reached
    return tuple(found)


def count_macs(network: AnyNetwork) -> int:
    """The network's MACs alone. Takes tens of microseconds. Raises SpecError where groups do not divide channels."""
    return sum(block.repeats * sum(map(op_macs, block.ops)) for block in network_blocks(network))


MOST_ORDERED = 60  # operators of a block whose every order is looked at
_MOST_KNOWN = 1 << 14
_known: dict[Any, tuple[int, int, int, int, int]] = {}  # totals of blocks: networks of one space share many


def _block_totals(ops: Sequence[Op]) -> tuple[int, int, int, int, int]:
    """MACs, parameters, deployed parameters, elements moved, and the peak of live elements."""
    return (
        sum(map(op_macs, ops)),
        sum(map(op_params, ops)),
        sum(map(deployed_params, ops)),
        sum(elements_moved(op, ops) for op in ops[1:]),
        peak_elements(ops) if len(ops) <= MOST_ORDERED else _listed_peak(ops),
    )


def _listed_peak(ops: Sequence[Op]) -> int:
    """The peak of live elements in the order of the list."""
    last_reader = {source: index for index, op in enumerate(ops) for source in op.inputs}
    live = peak = ops[0].elements
    for index, op in enumerate(ops[1:], start=1):
        live += op.elements
        peak = max(peak, live)
        live -= sum(ops[source].elements for source in set(op.inputs) if last_reader[source] == index)
    return peak


def settings_of(arch: Architecture) -> tuple[Any, ...]:
    """What determines a block beside its spec."""
    return (arch.unit, arch.bottleneck, arch.shuffle, arch.stem_stride, arch.stem_pool)


def _all_totals(network: AnyNetwork) -> Iterator[tuple[int, tuple[int, int, int, int, int]]]:
    """How often each block follows itself, and its totals."""
    if isinstance(network, NamedNetwork):
        for block in network.blocks():
            yield block.repeats, _block_totals(block.ops)
        return
    settings = settings_of(network)
    for placed in blocks(network):
        found = _known.get(key := (settings, placed.spec))
        if found is None:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            found = _known[key] = _block_totals(block_ops(network, placed.spec))
        yield placed.repeats, found


def count_costs(network: AnyNetwork, precision: Precision = "float32") -> Costs:
    """The network's totals, sizes in bytes. Takes a few hundred microseconds.

    Raises SpecError where groups do not divide channels.
    """
    size = BYTES_PER_VALUE[precision]
    macs = params = deployed = moved = peak = 0
    for times, block in _all_totals(network):
        macs += times * block[0]
        params += times * block[1]
        deployed += times * block[2]
        moved += times * block[3]
        peak = max(peak, block[4])
    return Costs(
        macs=macs,
        params=params,
        weight_bytes=deployed * size,
        bytes_moved=moved * size,
        peak_activation_bytes=peak * size,
    )


def cost_report(graph: OpGraph, precision: Precision = "float32") -> CostReport:
    """The totals of a network, with the costs of every operator."""
    size = BYTES_PER_VALUE[precision]
    return CostReport(
        architecture=graph.architecture,
        precision=precision,
        totals=count_costs(graph.architecture, precision),
        operators=tuple(
            OpCost(
                name=op.name,
                kind=op.kind,
                output=(op.channels, op.height, op.width),
                macs=op_macs(op),
                params=op_params(op),
                bytes_moved=elements_moved(op, graph.ops) * size,
            )
            for op in graph.ops[1:]
        ),
    )


class StageSums:
    """A figure of a network, such as its MACs, as a sum over its stages, for a solver that varies their widths.

    `stem(channels)`, `stage(i, width_in, width_out)` of every stage and `head(width)` add up to the figure of the
    network with those widths.
    """

    def __init__(self, arch: Architecture) -> None:
        self._arch = arch
        self._placed = tuple(blocks(arch))
        self._stages: dict[str, list[PlacedBlock]] = {}
        for placed in self._placed:
            self._stages.setdefault(placed.name, []).append(placed)

    def _block(self, spec: BlockSpec) -> Any:
        """The figure of a block."""
        raise NotImplementedError

    def stem(self, channels: Any) -> Any:
        """That of the first convolution."""
        return self._block(self._placed[0].spec._replace(channels_out=channels))

    def stage(self, index: int, width_in: Any, width_out: Any) -> Any:
        """That of stage `index` (from 0) with those input and output channels."""
        total: Any = 0
        for placed in self._stages[f"stage{index + 2}"]:
            spec = placed.spec._replace(channels_in=width_in, channels_out=width_out)
            total = total + placed.repeats * self._block(spec)
            width_in = width_out
        return total

    def head(self, width: Any) -> Any:
        """That of the classifier after a last stage of that width."""
        return self._block(self._placed[-1].spec._replace(channels_in=width))


_known_macs: dict[Any, dict[tuple[int, int], int]] = {}  # of blocks, by their channels; 0: cannot be built


class StageMacs:
    """MACs of one network at a time. Each block is counted from its operators, and remembered."""

    def __init__(self, arch: Architecture) -> None:
        """`arch` has the stages, whose widths are not read."""
        if len(_known_macs) >= _MOST_KNOWN:
            _known_macs.clear()
        self._arch, settings = arch, settings_of(arch)
        self._placed = [
            (at, placed, _known_macs.setdefault((settings, placed.spec._replace(channels_in=0, channels_out=0)), {}))
            for at, placed in _with_places(arch)
        ]

    def total(self, stem: int, widths: Sequence[int]) -> int:
        """MACs of the network with those channels of the first convolution and of each stage; 0: cannot be built."""
        channels = (self._arch.input_channels, stem, *widths, self._arch.classes)
        total = 0
        for (before, after), placed, known in self._placed:
            pair = channels[before], channels[after]
            macs = known.get(pair)
            if macs is None:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                macs = known[pair] = self._count(placed.spec._replace(channels_in=pair[0], channels_out=pair[1]))
            if not macs:
                return 0
            total += placed.repeats * macs
        return total

    def _count(self, spec: BlockSpec) -> int:
        try:
            return sum(map(op_macs, block_ops(self._arch, spec)))
        except SpecError:
            return 0


def _with_places(arch: Architecture) -> Iterator[tuple[tuple[int, int], PlacedBlock]]:
    """The blocks, each with the places of its channels in (input, stem, every stage, classes)."""
    at, name = 0, ""
    for placed in blocks(arch):
        is_repeated = placed.name == name
        name = placed.name
        yield (at, at + (not is_repeated)), placed
        at += not is_repeated
