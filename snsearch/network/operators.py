"""Operators of a network, and the builder that makes them with their shapes.

A convolution carries its batch norm and activation as an epilogue, as an inference engine runs them. The costs of an
operator are in `costs`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from snsearch.errors import SpecError

SIMD_CHANNELS = 4  # float32 channels that a 128-bit SIMD register holds

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
    "slice",
    "flatten",
    "activate",
]
# relu6 is clipped at 6; swish is x * sigmoid(x); the hard ones put relu6(x + 3) / 6 in the sigmoid's place.
Activation = Literal["none", "relu", "relu6", "sigmoid", "swish", "hardsigmoid", "hardswish"]


class Op(NamedTuple):
    """One operator and the tensor that it outputs. A NamedTuple, since counting makes thousands per second."""

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
    ends_branch: bool = False  # last convolution of a residual branch: its batch norm may be initialised to zero
    # Pixels of padding on every side of a window's image; None: half of the kernel.
    padding: int | None = None
    ceil: bool = False  # a pooling window that is only partly inside makes a last pixel
    offset: int = 0  # of a slice's first channel

    @property
    def pad(self) -> int:
        """Pixels of padding on every side of the image."""
        return self.kernel // 2 if self.padding is None else self.padding

    @property
    def elements(self) -> int:
        """Elements of the output tensor."""
        return self.channels * self.height * self.width


def strided(size: int, stride: int) -> int:
    """The output side of a "same"-padded window: the input side over the stride, rounded up."""
    return -(-size // stride)


class BlockBuilder:
    """Collects a block's operators. Methods take and return operator indices; index 0 is the block's input.

    Whatever asks for the value of a channel number is a method of its own: `arrays` has them for arrays of numbers.
    """

    __slots__ = ("ops",)

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.ops: list[Op] = [Op("input", "input", (), channels, channels, height, width)]

    def at_least_one(self, channels: int) -> int:
        """The number, or 1 where it is less."""
        return channels if channels > 1 else 1

    def differ(self, one: int, other: int) -> bool:
        """Whether two numbers of channels differ."""
        return one != other

    def must_widen(self, channels_in: int, channels_out: int) -> None:
        """Raises SpecError where a unit that concatenates would not get wider."""
        if channels_out <= channels_in:
            raise SpecError(
                f"a stride-2 ShuffleNet unit widens by concatenation: {channels_in} channels cannot become "
                f"{channels_out}"
            )

    def must_divide(self, name: str, channels_in: int, channels: int, groups: int) -> None:
        """Raises SpecError where a convolution has no channels, or its groups do not divide them."""
        if channels < 1 or channels_in % groups or channels % groups:
            raise SpecError(
                f"{name}: {channels_in} -> {channels} channels cannot be convolved in {groups} groups; "
                "both must be multiples of the group count"
            )

    def must_match(self, name: str, read: Op, other: Op) -> None:
        """Raises SpecError where two tensors that are added differ in shape."""
        if (read.channels, read.height, read.width) != (other.channels, other.height, other.width):
            raise SpecError(
                f"{name}: {read.channels}x{read.height}x{read.width} and {other.channels}x{other.height}x"
                f"{other.width} cannot be added; this unit changes width only where its stage has a stride of 2"
            )

    def _append(self, op: Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def _elementwise(
        self,
        name: str,
        kind: OpKind,
        inputs: tuple[int, ...],
        channels: int,
        activation: Activation = "none",
        groups: int = 1,
    ) -> int:
        """An operator that keeps the height and width of its first input."""
        ops = self.ops
        read = ops[inputs[0]]
        height, width = read.height, read.width
        ops.append(Op(name, kind, inputs, channels, channels, height, width, 1, 1, groups, False, False, activation))
        return len(ops) - 1

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
        # Counting spends most of its time here, so this calls as little as possible.
        ops = self.ops
        read = ops[source]
        channels_in, height, width = read.channels, read.height, read.width
        self.must_divide(name, channels_in, channels, groups)
        if stride > 1:
            height, width = strided(height, stride), strided(width, stride)
        op = Op(
            name, "conv", (source,), channels_in, channels, height, width, kernel, stride, groups, True, False,
            activation, ends_branch,
        )  # fmt: skip
        ops.append(op)
        return len(ops) - 1

    def depthwise(self, name: str, source: int, *, stride: int, activation: Activation = "none") -> int:
        """A 3x3 depthwise convolution with batch norm."""
        channels = self.ops[source].channels
        return self.conv(name, source, channels, kernel=3, stride=stride, groups=channels, activation=activation)

    def pool(self, name: str, source: int, kind: Literal["max_pool", "avg_pool"]) -> int:
        """3x3 pooling of stride 2."""
        read = self.ops[source]
        height, width = strided(read.height, 2), strided(read.width, 2)
        return self._append(Op(name, kind, (source,), read.channels, read.channels, height, width, 3, 2))

    def channel_shuffle(self, name: str, source: int, groups: int) -> int:
        """Channel i*(C/g)+j moves to j*g+i (ShuffleNet, Figure 1)."""
        return self._elementwise(name, "channel_shuffle", (source,), self.ops[source].channels, groups=groups)

    def add(self, name: str, left: int, right: int, activation: Activation = "relu") -> int:
        """Element-wise sum, then ReLU or another activation. Raises SpecError where the shapes differ."""
        read = self.ops[left]
        self.must_match(name, read, self.ops[right])
        return self._elementwise(name, "add", (left, right), read.channels, activation)

    def concat(self, name: str, left: int, right: int) -> int:
        """Channel concatenation, then ReLU."""
        one, two = self.ops[left], self.ops[right]
        assert (one.height, one.width) == (two.height, two.width), "a concatenation needs equal sizes"
        return self._elementwise(name, "concat", (left, right), one.channels + two.channels, "relu")

    def global_pool(self, name: str, source: int) -> int:
        """Global average pooling to 1x1."""
        channels = self.ops[source].channels
        return self._append(Op(name, "global_pool", (source,), channels, channels, 1, 1))

    def linear(self, name: str, source: int, channels: int, activation: Activation = "none") -> int:
        """A fully connected layer with bias on a pooled tensor."""
        read = self.ops[source]
        op = Op(name, "linear", (source,), read.channels, channels, 1, 1, bias=True, activation=activation)
        return self._append(op)

    def squeeze_excite(self, source: int, reduction: int) -> int:
        """Squeeze-and-excitation (arXiv:1709.01507): pool, reduce, ReLU, expand, sigmoid, scale.

        Args:
            source: the operator to gate.
            reduction: its channels over those of the bottleneck; 0 means no squeeze-and-excitation.
        """
        if not reduction:
            return source
        channels = self.ops[source].channels
        pooled = self.global_pool("se.pool", source)
        squeezed = self.linear("se.reduce", pooled, self.at_least_one(channels // reduction), "relu")
        gate = self.linear("se.expand", squeezed, channels, "sigmoid")
        return self._elementwise("se.scale", "scale", (source, gate), channels)
