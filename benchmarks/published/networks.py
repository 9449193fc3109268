"""The published networks whose latencies profiles are fitted on, as lists of operators.

Most are those that snsearch knows by name; the others are written from their papers' tables. They have the product's
operators, so that the calibration reads the same
terms as a prediction does. `samples` compares their multiply-adds with the printed ones, leaves out a network
that does not come within 3 %, and says why it has no others.
"""

from __future__ import annotations

from dataclasses import replace

from snsearch.network.graph import OpGraph, joined
from snsearch.network.known import classic, mobile, shuffle
from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.catalogue import known_network, named
from snsearch.network.known.entry import Describe
from snsearch.network.operators import Activation, BlockBuilder, Op


class Net(BlockBuilder):
    """A BlockBuilder for networks that are no Architecture: valid padding, splits, other pools."""

    __slots__ = ()

    def conv_to(
        self,
        source: int,
        channels: int,
        side: int | tuple[int, int],
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
    ) -> int:
        """A convolution whose output size is named, for padding that is not "same"."""
        index = self.conv(f"conv{len(self.ops)}", source, channels, kernel=kernel, stride=stride, groups=groups)
        height, width = (side, side) if isinstance(side, int) else side
        self.ops[index] = self.ops[index]._replace(height=height, width=width)
        return index

    def cbr(self, source: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> int:
        """A "same"-padded convolution with ReLU."""
        return self.conv(f"conv{len(self.ops)}", source, channels, kernel=kernel, stride=stride, groups=groups)

    def linear_conv(self, source: int, channels: int, groups: int = 1) -> int:
        """A 1x1 convolution without activation."""
        return self.conv(f"conv{len(self.ops)}", source, channels, groups=groups, activation="none")

    def dw(self, source: int, stride: int, kernel: int = 3, activation: Activation = "relu") -> int:
        """A depthwise convolution."""
        channels, name = self.ops[source].channels, f"dw{len(self.ops)}"
        return self.conv(name, source, channels, kernel=kernel, stride=stride, groups=channels, activation=activation)

    def half(self, source: int) -> int:
        """The first half of the channels: a view that costs nothing, and so an input of its own."""
        read = self.ops[source]
        half = read.channels // 2
        return self._append(Op("split", "input", (), half, half, read.height, read.width))

    def pool_to(self, source: int, side: int | tuple[int, int], kernel: int = 3, stride: int = 2) -> int:
        """Max-pooling to a named size."""
        read = self.ops[source]
        height, width = (side, side) if isinstance(side, int) else side
        return self._append(
            Op("pool", "max_pool", (source,), read.channels, read.channels, height, width, kernel, stride)
        )

    def join(self, *sources: int) -> int:
        """A concatenation of any number of tensors."""
        read = [self.ops[source] for source in sources]
        channels = sum(op.channels for op in read)
        return self._append(Op("concat", "concat", sources, channels, channels, read[0].height, read[0].width))

    def gate(self, source: int, squeezed: int) -> int:
        """Squeeze-and-excitation with that many squeezed channels."""
        read = self.ops[source]
        pooled = self.global_pool("se.pool", source)
        gate = self.linear("se.expand", self.linear("se.reduce", pooled, squeezed, "relu"), read.channels, "sigmoid")
        return self._append(
            Op("se.scale", "scale", (source, gate), read.channels, read.channels, read.height, read.width)
        )

    def classify(self, source: int, classes: int = 1000) -> tuple[Op, ...]:
        """All operators, with global pooling and a classifier behind."""
        self.linear("classifier", self.global_pool("pool", source), classes)
        return tuple(self.ops)


def known(name: str) -> tuple[Op, ...]:
    """A network that snsearch knows by name."""
    return OpGraph.of(named(known_network(name))).ops


def described(describe: Describe, height: int = 224, width: int = 224) -> tuple[Op, ...]:
    """A description's operators, with 1000 classes."""
    net = ChainBuilder(3, height, width)
    describe(net, 1000)
    return joined(net.finished())


def shufflenet_v1(groups: int, first: int, stem: int = 24) -> tuple[Op, ...]:
    """ShuffleNet with that first-stage width."""
    return OpGraph.of(shuffle.shufflenet_v1(groups, first, stem)).ops


def mobilenet_v1(scale: float, height: int = 224, width: int = 224) -> tuple[Op, ...]:
    """MobileNet of a scale."""
    return OpGraph.of(replace(mobile.mobilenet_v1(scale), resolution=(height, width))).ops


def mobilenet_v2(scale: float, side: int = 224, step: int = 8) -> tuple[Op, ...]:
    """MobileNet v2 of a scale."""
    return described(mobile.mobilenet_v2(scale, step), side, side)


def igcv3(scale: float) -> tuple[Op, ...]:
    """IGCV3-D of a scale."""
    return described(mobile.igcv3(scale, merged=True))


def shufflenet_v2(
    widths: tuple[int, int, int], last: int = 1024, *, merged: bool = True, se: bool = False
) -> tuple[Op, ...]:
    """ShuffleNet v2 with these widths."""
    return described(shuffle.shufflenet_v2(widths, last, merged=merged, se=se))


def xception_like(first: int, stem: int) -> tuple[Op, ...]:
    """The ShuffleNet unit with one group, as small Xceptions are laid out (arXiv:1711.07264, Table 7)."""
    return shufflenet_v1(1, first, stem)


def alexnet_features(height: int, width: int) -> tuple[Op, ...]:
    """AlexNet without its classifier, for images of any size."""
    ops = described(classic.alexnet, height, width)
    return tuple(op for op in ops if not op.name.startswith("head."))


def mobilenet_ssd() -> tuple[Op, ...]:
    """MobileNet-SSD at 300x300: the backbone of MobileNet, four further stages, six pairs of 1x1 detection heads."""
    net = Net(3, 300, 300)
    at = net.cbr(0, 32, 3, 2)
    heads = []
    for channels, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2),
                             (1024, 1)):  # fmt: skip
        at = net.cbr(net.dw(at, stride), channels)
        if len(net.ops) == 24:
            heads.append((at, 3))
    heads.append((at, 6))
    for squeeze, channels in ((256, 512), (128, 256), (128, 256), (64, 128)):
        at = net.cbr(net.cbr(at, squeeze), channels, 3, 2)
        heads.append((at, 6))
    for source, anchors in heads:
        net.linear_conv(source, anchors * 4)
        net.linear_conv(source, anchors * 21)
    return tuple(net.ops)


def yolov4_tiny() -> tuple[Op, ...]:
    """YOLOv4-tiny at 416x416 (arXiv:2011.08036 and released code), 80 classes."""
    net = Net(3, 416, 416)
    at = net.cbr(net.cbr(0, 32, 3, 2), 64, 3, 2)
    kept = at
    for channels in (64, 128, 256):
        whole = net.cbr(at, channels, 3)
        first = net.cbr(net.half(whole), channels // 2, 3)
        second = net.cbr(first, channels // 2, 3)
        kept = net.cbr(net.join(second, first), channels)
        at = net.join(whole, kept)
        at = net.pool_to(at, net.ops[at].height // 2, kernel=2)
    at = net.cbr(net.cbr(at, 512, 3), 256)
    net.linear_conv(net.cbr(at, 512, 3), 255)
    small = net.cbr(at, 128)
    up = net.ops[small]
    larger = net._append(Op("upsample", "avg_pool", (small,), up.channels, up.channels, 26, 26))
    net.linear_conv(net.cbr(net.join(larger, kept), 256, 3), 255)
    return tuple(net.ops)


def pointwise_pairs(first: int, second: int) -> tuple[Op, ...]:
    """Ten blocks of two 1x1 convolutions at 56x56 (arXiv:1807.11164, Table 1)."""
    net = Net(first, 56, 56)
    at = 0
    for _ in range(10):
        at = net.cbr(net.cbr(at, second), first)
    return tuple(net.ops)


def grouped_pointwise(channels: int, groups: int) -> tuple[Op, ...]:
    """Ten grouped 1x1 convolutions at 56x56 (arXiv:1807.11164, Table 2)."""
    net = Net(channels, 56, 56)
    at = 0
    for _ in range(10):
        at = net.cbr(at, channels, groups=groups)
    return tuple(net.ops)


def shortcuts(channels: int) -> tuple[Op, ...]:
    """The ten sums that Table 4 of arXiv:1807.11164 adds and removes."""
    net = Net(channels, 56, 56)
    at = 0
    for _ in range(10):
        at = net.add("add", 0, at)
    return tuple(net.ops)


def bottlenecks(channels: int, *, shortcut: bool, relu: bool) -> tuple[Op, ...]:
    """Ten ResNet bottlenecks of ratio 4 at 56x56 (arXiv:1807.11164, Table 4).

    That table states neither the ratio nor the size: the ratio is that of the paper it cites, the size that of
    its tables 1 to 3; with both its rates agree with those of the first convolutions of whole networks.
    """
    net = Net(channels, 56, 56)
    active: Activation = "relu" if relu else "none"
    at, inner = 0, channels // 4
    for _ in range(10):
        source = at
        at = net.conv("reduce", at, inner, activation=active)
        at = net.conv("spatial", at, inner, kernel=3, activation=active)
        at = net.conv("expand", at, channels, activation=active)
        if shortcut:
            at = net.add("add", source, at)
    return tuple(net.ops)


def inverted_residual(
    read: int,
    inner: int,
    made: int,
    side: int,
    *,
    kernel: int,
    stride: int,
    groups: int = 1,
    squeezed: int = 0,
    expands: bool = False,
) -> tuple[Op, ...]:
    """One block of MobileNet v2's kind, with a shuffle where its 1x1 convolutions are grouped.

    `expands`: there is a first 1x1 convolution even where it does not widen.
    """
    net = Net(read, side, side)
    at = 0
    if expands or inner != read:
        at = net.cbr(at, inner, groups=groups)
    if groups > 1:
        at = net.channel_shuffle("shuffle", at, groups)
    at = net.dw(at, stride, kernel)
    if squeezed:
        at = net.gate(at, squeezed)
    at = net.linear_conv(at, made, groups)
    if stride == 1 and read == made:
        net.add("add", 0, at)
    return tuple(net.ops)


def skip(read: int, made: int, side: int, stride: int) -> tuple[Op, ...]:
    """What stands in for a block that is skipped: nothing, or a 1x1 convolution where shapes change."""
    net = Net(read, side, side)
    if stride > 1 or read != made:
        net.cbr(0, made, 1, stride)
    return tuple(net.ops)
