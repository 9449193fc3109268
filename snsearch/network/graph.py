"""Architecture -> blocks of typed operators -> OpGraph.

A network is a chain of blocks (stem, structure units, head) that meet in one tensor each; a block is a
short list of operators in an order in which they can run. Every operator is made by a BlockBuilder method,
which holds its shape rule; the cost rules stand in `costs`. A convolution carries its batch norm and
activation as an epilogue, as an inference engine runs them.

A further structure unit is one builder function here and its entry in UNITS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture

if TYPE_CHECKING:
    import networkx as nx

OpKind = Literal[
    "input",
    "conv",
    "linear",
    "max_pool",
    "avg_pool",
    "global_pool",
    "channel_shuffle",
    "add",
    "concat",
    "scale",
]
Activation = Literal["none", "relu", "sigmoid"]


class Op(NamedTuple):
    """One operator and the tensor that it makes. A NamedTuple, since counting makes thousands a second."""

    name: str
    kind: OpKind
    inputs: tuple[int, ...]  # indices of the operators whose tensors it reads
    channels_in: int
    channels: int
    height: int
    width: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    norm: bool = False
    bias: bool = False
    activation: Activation = "none"
    ends_branch: bool = False  # last convolution of a residual branch that is added: its norm may start at zero

    @property
    def elements(self) -> int:
        """Elements of the output tensor."""
        return self.channels * self.height * self.width


class BlockSpec(NamedTuple):
    """What decides a block: equal specs have equal operators and costs."""

    kind: Literal["stem", "unit", "head"]
    channels_in: int
    channels_out: int
    height_in: int
    width_in: int
    stride: int
    opens_network: bool  # first unit behind the stem: its first pointwise convolution is not grouped


class PlacedBlock(NamedTuple):
    """A block, its name, and how many times it stands in a row."""

    name: str
    spec: BlockSpec
    repeats: int


def _strided(size: int, stride: int) -> int:
    """Side of the output of a "same"-padded window of that stride: the size over the stride, rounded up."""
    return -(-size // stride)


class BlockBuilder:
    """Collects a block's operators. Methods take and return operator indices; index 0 is the block's input."""

    __slots__ = ("ops",)

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.ops: list[Op] = [Op("input", "input", (), channels, channels, height, width)]

    def _append(self, op: Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def conv(
        self,
        name: str,
        source: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = "relu",
        ends_branch: bool = False,
    ) -> int:
        """A "same"-padded convolution with batch norm. Raises SpecError where groups do not divide channels."""
        # Counting spends most of its time here, so that nothing is called that need not be.
        ops = self.ops
        read = ops[source]
        channels_in, height, width = read.channels, read.height, read.width
        if channels < 1 or channels_in % groups or channels % groups:
            raise SpecError(
                f"{name}: {channels_in} -> {channels} channels cannot be convolved in {groups} groups; "
                "both must be multiples of the group count"
            )
        if stride > 1:
            height, width = _strided(height, stride), _strided(width, stride)
        ops.append(
            Op(
                name,
                "conv",
                (source,),
                channels_in,
                channels,
                height,
                width,
                kernel,
                stride,
                groups,
                True,
                False,
                activation,
                ends_branch,
            )
        )
        return len(ops) - 1

    def depthwise(self, name: str, source: int, *, stride: int, activation: Activation = "none") -> int:
        """A 3x3 depthwise convolution with batch norm."""
        channels = self.ops[source].channels
        return self.conv(name, source, channels, kernel=3, stride=stride, groups=channels, activation=activation)

    def pool(self, name: str, source: int, kind: Literal["max_pool", "avg_pool"]) -> int:
        """3x3 pooling of stride 2."""
        read = self.ops[source]
        height, width = _strided(read.height, 2), _strided(read.width, 2)
        return self._append(Op(name, kind, (source,), read.channels, read.channels, height, width, 3, 2))

    def channel_shuffle(self, name: str, source: int, groups: int) -> int:
        """Channel i*(C/g)+j moves to j*g+i (ShuffleNet, Figure 1)."""
        read = self.ops[source]
        return self._append(
            Op(
                name,
                "channel_shuffle",
                (source,),
                read.channels,
                read.channels,
                read.height,
                read.width,
                groups=groups,
            )
        )

    def add(self, name: str, left: int, right: int) -> int:
        """Element-wise sum, then ReLU."""
        read, other = self.ops[left], self.ops[right]
        if (read.channels, read.height, read.width) != (other.channels, other.height, other.width):
            raise SpecError(
                f"{name}: {read.channels}x{read.height}x{read.width} and {other.channels}x{other.height}x"
                f"{other.width} cannot be added; this unit changes width only where its stage has a stride of 2"
            )
        return self._append(
            Op(
                name,
                "add",
                (left, right),
                read.channels,
                read.channels,
                read.height,
                read.width,
                activation="relu",
            )
        )

    def concat(self, name: str, left: int, right: int) -> int:
        """Channel concatenation, then ReLU."""
        one, two = self.ops[left], self.ops[right]
        assert (one.height, one.width) == (two.height, two.width), "a concatenation needs equal sizes"
        channels = one.channels + two.channels
        return self._append(
            Op(
                name,
                "concat",
                (left, right),
                channels,
                channels,
                one.height,
                one.width,
                activation="relu",
            )
        )

    def global_pool(self, name: str, source: int) -> int:
        """Global average pooling to 1x1."""
        channels = self.ops[source].channels
        return self._append(Op(name, "global_pool", (source,), channels, channels, 1, 1))

    def linear(self, name: str, source: int, channels: int, activation: Activation = "none") -> int:
        """A fully connected layer with bias on a pooled tensor."""
        return self._append(
            Op(
                name,
                "linear",
                (source,),
                self.ops[source].channels,
                channels,
                1,
                1,
                bias=True,
                activation=activation,
            )
        )

    def squeeze_excite(self, source: int, reduction: int) -> int:
        """Squeeze-and-excitation (arXiv:1709.01507): pool, reduce, ReLU, expand, sigmoid, scale; 0 leaves it out."""
        if not reduction:
            return source
        read = self.ops[source]
        squeezed = self.linear(
            "se.reduce", self.global_pool("se.pool", source), max(1, read.channels // reduction), "relu"
        )
        gate = self.linear("se.expand", squeezed, read.channels, "sigmoid")
        return self._append(
            Op("se.scale", "scale", (source, gate), read.channels, read.channels, read.height, read.width)
        )


UnitBuilder = Callable[[BlockBuilder, Architecture, BlockSpec], None]


def shufflenet_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """ShuffleNet unit (arXiv:1707.01083, Figure 2 b and c; with one group and no shuffle, a).

    Squeeze-and-excitation acts on the unit's whole output width: on the branch before the sum, or behind the
    concatenation, which is what makes the paper's 527 MFLOPs at 2x.
    """
    downsamples = spec.stride > 1
    if spec.stride > 2:
        raise SpecError(f"a ShuffleNet unit has a stride of 1 or 2, not {spec.stride}")
    if downsamples and spec.channels_out <= spec.channels_in:
        raise SpecError(
            f"a stride-2 ShuffleNet unit widens by concatenation: {spec.channels_in} channels cannot become "
            f"{spec.channels_out}"
        )
    inner = max(1, spec.channels_out // arch.bottleneck)
    first_groups = 1 if spec.opens_network else arch.groups
    branch = build.conv("expand", 0, inner, groups=first_groups)
    if arch.shuffle and arch.groups > 1:
        branch = build.channel_shuffle("shuffle", branch, arch.groups)
    branch = build.depthwise("depthwise", branch, stride=spec.stride)
    project_out = spec.channels_out - spec.channels_in if downsamples else spec.channels_out
    branch = build.conv(
        "project", branch, project_out, groups=arch.groups, activation="none", ends_branch=not downsamples
    )
    if downsamples:
        shortcut = build.pool("shortcut", 0, "avg_pool")
        build.squeeze_excite(build.concat("concat", shortcut, branch), arch.se_reduction)
    else:
        build.add("add", 0, build.squeeze_excite(branch, arch.se_reduction))


def bottleneck_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """ResNet bottleneck (arXiv:1512.03385), and ResNeXt's (arXiv:1611.05431) with groups on the 3x3 convolution.

    Where shapes change, a strided 1x1 convolution projects the shortcut. The bottleneck is the output over the
    bottleneck ratio, moved to the nearest multiple of the group count (a tie moves down, which
    makes the 192 output channels that the paper prints for ResNeXt at 38 MFLOPs).
    """
    groups = arch.groups
    inner = max(1, -(-(2 * spec.channels_out - groups * arch.bottleneck) // (2 * groups * arch.bottleneck))) * groups
    branch = build.conv("reduce", 0, inner)
    branch = build.conv("spatial", branch, inner, kernel=3, stride=spec.stride, groups=groups)
    branch = build.conv("expand", branch, spec.channels_out, activation="none", ends_branch=True)
    branch = build.squeeze_excite(branch, arch.se_reduction)
    shortcut = 0
    if spec.stride > 1 or spec.channels_in != spec.channels_out:
        shortcut = build.conv("shortcut", 0, spec.channels_out, stride=spec.stride, activation="none")
    build.add("add", shortcut, branch)


def plain_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Two 3x3 convolutions without a shortcut (the "VGG-like" unit of ShuffleNet's Table 4)."""
    branch = build.conv("first", 0, spec.channels_out, kernel=3, stride=spec.stride)
    branch = build.conv("second", branch, spec.channels_out, kernel=3)
    build.squeeze_excite(branch, arch.se_reduction)


def separable_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Depthwise separable convolution of MobileNet (arXiv:1704.04861, Figure 3)."""
    branch = build.depthwise("depthwise", 0, stride=spec.stride, activation="relu")
    branch = build.conv("pointwise", branch, spec.channels_out)
    build.squeeze_excite(branch, arch.se_reduction)


UNITS: dict[str, UnitBuilder] = {
    "shufflenet": shufflenet_unit,
    "bottleneck": bottleneck_unit,
    "plain": plain_unit,
    "separable": separable_unit,
}


def block_ops(arch: Architecture, spec: BlockSpec) -> list[Op]:
    """The block's operators, in an order in which they can run; index 0 stands for its input.

    Raises SpecError where the channels cannot be divided as the unit needs.
    """
    build = BlockBuilder(spec.channels_in, spec.height_in, spec.width_in)
    if spec.kind == "stem":
        stem = build.conv("conv", 0, spec.channels_out, kernel=3, stride=arch.stem_stride)
        if arch.stem_pool:
            build.pool("pool", stem, "max_pool")
    elif spec.kind == "head":
        build.linear("classifier", build.global_pool("pool", 0), spec.channels_out)
    else:
        UNITS[arch.unit](build, arch, spec)
    return build.ops


def blocks(arch: Architecture) -> Iterator[PlacedBlock]:
    """The network's blocks in order; equal neighbours come as one with a repeat count.

    Raises SpecError for an unknown unit.
    """
    if arch.unit not in UNITS:
        raise SpecError(f"unknown structure unit {arch.unit!r}; known: {', '.join(sorted(UNITS))}")
    height, width = arch.resolution
    yield PlacedBlock("stem", BlockSpec("stem", arch.input_channels, arch.stem_channels, height, width, 1, False), 1)
    for stride in (arch.stem_stride, 2 if arch.stem_pool else 1):
        height, width = _strided(height, stride), _strided(width, stride)
    channels = arch.stem_channels
    stages = zip(arch.stage_channels, arch.stage_repeats, arch.stage_strides, strict=True)
    for index, (channels_out, repeats, stride) in enumerate(stages):
        # The paper's Table 1 calls what follows the stem "Stage 2".
        name = f"stage{index + 2}"
        yield PlacedBlock(name, BlockSpec("unit", channels, channels_out, height, width, stride, index == 0), 1)
        height, width = _strided(height, stride), _strided(width, stride)
        channels = channels_out
        if repeats > 1:
            yield PlacedBlock(name, BlockSpec("unit", channels, channels, height, width, 1, False), repeats - 1)
    yield PlacedBlock("head", BlockSpec("head", channels, arch.classes, height, width, 1, False), 1)


@dataclass(frozen=True)
class OpGraph:
    """The whole network as operators: `ops` in an order that can run, `digraph` as a frozen networkx DiGraph."""

    architecture: Architecture
    ops: tuple[Op, ...]

    @classmethod
    def of(cls, arch: Architecture) -> OpGraph:
        """The graph of an architecture, operator names unique ("stage2.0.expand"). Raises SpecError."""
        ops: list[Op] = []
        units_in_stage: dict[str, int] = {}
        last = 0
        for placed in blocks(arch):
            for _ in range(placed.repeats):
                local = block_ops(arch, placed.spec)
                prefix = placed.name
                if placed.spec.kind == "unit":
                    number = units_in_stage.get(placed.name, 0)
                    units_in_stage[placed.name] = number + 1
                    prefix = f"{placed.name}.{number}"
                if not ops:
                    ops.append(local[0])
                offset = len(ops) - 1
                for op in local[1:]:
                    inputs = tuple(last if index == 0 else index + offset for index in op.inputs)
                    ops.append(op._replace(name=f"{prefix}.{op.name}", inputs=inputs))
                last = len(ops) - 1
        return cls(arch, tuple(ops))

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """Nodes are operator indices with the attribute "op"; edges follow the tensors, and have the attribute
        "layers": 1 where they lead into a layer with weights. Frozen."""
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
