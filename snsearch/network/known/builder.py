"""The builder of networks that are no Architecture: a chain of blocks joined by one tensor each."""

from __future__ import annotations

from typing import Literal, NamedTuple

from snsearch.errors import SpecError
from snsearch.network.operators import Activation, BlockBuilder, Op


class Block(NamedTuple):
    """A block of operators that follows itself `repeats` times; index 0 is its input."""

    name: str  # "stem", "stage2" or "head"
    ops: list[Op]
    repeats: int = 1

    @property
    def is_unit(self) -> bool:
        """Whether it is one of several, which are numbered, as "stage2.0"."""
        return self.name not in ("stem", "head")


def rounded(value: float, step: int = 8) -> int:
    """The multiple of step nearest to the value, at least 90 % of it (arXiv:1801.04381, released code)."""
    found = max(step, int(value + step / 2) // step * step)
    return found + step if found < 0.9 * value else found


class ChainBuilder(BlockBuilder):
    """Collects blocks. Each begins at index 0 with the output of the one before; methods take and return indices."""

    __slots__ = ("_name", "blocks")

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__(channels, height, width)
        self._name = "stem"
        self.blocks: list[Block] = []

    def begin(self, name: str) -> int:
        """Ends the block, and begins the next one; returns the index of its input."""
        self._end()
        last = self.ops[-1]
        self._name = name
        self.ops = [Op("input", "input", (), last.channels, last.channels, last.height, last.width)]
        return 0

    def finished(self) -> tuple[Block, ...]:
        """All blocks; equal neighbours are one."""
        self._end()
        return tuple(self.blocks)

    def _end(self) -> None:
        last = self.blocks[-1] if self.blocks else None
        if last is not None and (last.name, last.ops) == (self._name, self.ops):
            self.blocks[-1] = last._replace(repeats=last.repeats + 1)
        else:
            self.blocks.append(Block(self._name, self.ops))

    def layer(
        self,
        name: str,
        source: int,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation = "relu",
        padding: int | None = None,
        norm: bool = True,
        bias: bool = False,
    ) -> int:
        """A convolution with all that can be chosen about it."""
        read = self.ops[source]
        index = self.conv(name, source, channels, kernel=kernel, stride=stride, groups=groups, activation=activation)
        made = self.ops[index]._replace(padding=padding, norm=norm, bias=bias)
        self.ops[index] = _sized(read, made)
        return index

    def plain(self, name: str, source: int, channels: int, kernel: int = 1, stride: int = 1, **more: object) -> int:
        """A convolution with a bias, and without batch norm."""
        return self.layer(name, source, channels, kernel, stride, norm=False, bias=True, **more)  # type: ignore[arg-type]

    def window(
        self,
        name: str,
        source: int,
        kind: Literal["max_pool", "avg_pool"],
        kernel: int = 3,
        stride: int = 2,
        *,
        padding: int | None = None,
        ceil: bool = False,
    ) -> int:
        """Pooling with all that can be chosen about it."""
        read = self.ops[source]
        op = Op(name, kind, (source,), read.channels, read.channels, 1, 1, kernel, stride, padding=padding, ceil=ceil)
        return self._append(_sized(read, op))

    def slice(self, name: str, source: int, first: int, channels: int) -> int:
        """Some of the channels, from `first` on."""
        read = self.ops[source]
        return self._append(
            Op(name, "slice", (source,), read.channels, channels, read.height, read.width, offset=first)
        )

    def join(self, name: str, *sources: int, activation: Activation = "none") -> int:
        """A concatenation of any number of tensors."""
        channels = sum(self.ops[source].channels for source in sources)
        return self._elementwise(name, "concat", sources, channels, activation)

    def activate(self, name: str, source: int, activation: Activation = "relu") -> int:
        """An activation that is no operator's epilogue."""
        return self._elementwise(name, "activate", (source,), self.ops[source].channels, activation)

    def gate(self, source: int, squeezed: int, *, inner: Activation = "relu", outer: Activation = "sigmoid") -> int:
        """Squeeze-and-excitation with that many squeezed channels."""
        channels = self.ops[source].channels
        pooled = self.global_pool("se.pool", source)
        gate = self.linear("se.expand", self.linear("se.reduce", pooled, squeezed, inner), channels, outer)
        return self._elementwise("se.scale", "scale", (source, gate), channels)

    def flatten(self, name: str, source: int) -> int:
        """An image as a vector."""
        read = self.ops[source]
        return self._append(Op(name, "flatten", (source,), read.channels, read.elements, 1, 1))

    def classify(self, classes: int) -> None:
        """The head: global pooling and a classifier."""
        self.linear("classifier", self.global_pool("pool", self.begin("head")), classes)


def _sized(read: Op, op: Op) -> Op:
    """The operator with the height and width that its window makes of an image."""

    def side(size: int) -> int:
        reach = size + 2 * op.pad - op.kernel
        if reach < 0:
            raise SpecError(
                f"{op.name}: an image of {read.height}x{read.width} pixels is left, too small for a window of "
                f"{op.kernel}x{op.kernel}; the network needs larger images"
            )
        found = (-(-reach // op.stride) if op.ceil else reach // op.stride) + 1
        # A last window has to begin inside the image or the padding before it.
        return found - 1 if op.ceil and (found - 1) * op.stride >= size + op.pad else found

    return op._replace(height=side(read.height), width=side(read.width))
