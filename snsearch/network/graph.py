"""Architecture -> blocks of operators -> OpGraph.

A network is a chain of blocks (stem, structure units, head), each joined to the next by one tensor. A block is a
short list of operators in an order in which they can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.known.builder import Block
from snsearch.network.known.named import AnyNetwork, NamedNetwork
from snsearch.network.operators import BlockBuilder, Op, strided
from snsearch.network.structure_units import STRUCTURE_UNITS, BlockSpec

if TYPE_CHECKING:
    import networkx as nx


class PlacedBlock(NamedTuple):
    """A block, its name ("stem", "stage2" or "head"), and how many times it follows itself."""

    name: str
    spec: BlockSpec
    repeats: int


def block_ops(arch: Architecture, spec: BlockSpec) -> list[Op]:
    """The block's operators, in an order in which they can run; index 0 is its input.

    Raises SpecError, which names the stage, where its group count does not divide the channels.
    """
    build = BlockBuilder(spec.channels_in, spec.height_in, spec.width_in)
    try:
        fill_block(build, arch, spec)
    except SpecError as error:
        stages = (placed.name for placed in blocks(arch) if placed.spec == spec)
        raise SpecError(f"{next(stages, arch.unit)}: {error}") from None
    return build.ops


def fill_block(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Adds the operators of a block to a builder that has its input."""
    if spec.kind == "unit":
        STRUCTURE_UNITS[arch.unit](build, arch, spec)
    elif spec.kind == "stem":
        stem = build.conv("conv", 0, spec.channels_out, kernel=3, stride=arch.stem_stride)
        if arch.stem_pool:
            build.pool("pool", stem, "max_pool")
    else:
        build.linear("classifier", build.global_pool("pool", 0), spec.channels_out)


def blocks(arch: Architecture) -> Iterator[PlacedBlock]:
    """The network's blocks in order; equal neighbours are one block with a repeat count.

    Raises SpecError for an unknown unit.
    """
    if arch.unit not in STRUCTURE_UNITS:
        raise SpecError(f"unknown structure unit {arch.unit!r}; known: {', '.join(sorted(STRUCTURE_UNITS))}")
    height, width = arch.resolution
    yield PlacedBlock("stem", BlockSpec("stem", arch.input_channels, arch.stem_channels, height, width, 1, False), 1)
    for stride in (arch.stem_stride, 2 if arch.stem_pool else 1):
        height, width = strided(height, stride), strided(width, stride)
    channels = arch.stem_channels
    stages = zip(
        arch.stage_channels, arch.stage_repeats, arch.stage_strides, arch.groups, arch.se_reduction, strict=True
    )
    for index, (channels_out, repeats, stride, groups, se) in enumerate(stages):
        # ShuffleNet's Table 1 calls the first stage after the stem "Stage 2".
        name = f"stage{index + 2}"
        first = BlockSpec("unit", channels, channels_out, height, width, stride, index == 0, groups, se)
        yield PlacedBlock(name, first, 1)
        height, width = strided(height, stride), strided(width, stride)
        channels = channels_out
        if repeats > 1:
            further = BlockSpec("unit", channels, channels, height, width, 1, False, groups, se)
            yield PlacedBlock(name, further, repeats - 1)
    yield PlacedBlock("head", BlockSpec("head", channels, arch.classes, height, width, 1, False), 1)


def network_blocks(network: AnyNetwork) -> Iterator[Block]:
    """The network's blocks in order, with their operators; equal neighbours are one block with a repeat count.

    Raises SpecError for an unknown unit, or where groups do not divide channels.
    """
    if isinstance(network, NamedNetwork):
        yield from network.blocks()
        return
    for placed in blocks(network):
        yield Block(placed.name, block_ops(network, placed.spec), placed.repeats)


def joined(chain: Iterable[Block]) -> tuple[Op, ...]:
    """The operators of blocks, each of which reads the last tensor of the one before, with unique names."""
    ops: list[Op] = []
    units_in_stage: dict[str, int] = {}
    last = 0
    for block in chain:
        local = block.ops
        for _ in range(block.repeats):
            prefix = block.name
            if block.is_unit:
                number = units_in_stage.get(block.name, 0)
                units_in_stage[block.name] = number + 1
                prefix = f"{block.name}.{number}"
            if not ops:
                ops.append(local[0])
            offset = len(ops) - 1
            for op in local[1:]:
                inputs = tuple(last if index == 0 else index + offset for index in op.inputs)
                ops.append(op._replace(name=f"{prefix}.{op.name}", inputs=inputs))
            last = len(ops) - 1
    return tuple(ops)


@dataclass(frozen=True)
class OpGraph:
    """The whole network as operators, in an order in which they can run; the first is the input."""

    architecture: AnyNetwork
    ops: tuple[Op, ...]

    @classmethod
    def of(cls, arch: AnyNetwork) -> OpGraph:
        """The graph of a network, with unique operator names such as "stage2.0.expand".

        Raises SpecError for an unknown unit, or where the group count does not divide the channels.
        """
        return cls(arch, joined(network_blocks(arch)))

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """A frozen networkx DiGraph.

        Nodes are operator indices with the attribute "op". Edges follow the tensors; their attribute "layers" is 1
        where they lead into a layer with weights, else 0.
        """
        import networkx as nx

        graph = nx.DiGraph(architecture=self.architecture.key)
        graph.add_nodes_from((index, {"op": op}) for index, op in enumerate(self.ops))
        for index, op in enumerate(self.ops):
            layers = int(op.kind in ("conv", "linear"))
            graph.add_edges_from(((source, index) for source in op.inputs), layers=layers)
        return nx.freeze(graph)

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path: what papers call the number of layers (50 for ShuffleNet)."""
        import networkx as nx

        return int(nx.dag_longest_path_length(self.digraph, weight="layers"))
