"""The published networks whose latencies profiles are fitted on, as lists of operators.

Each is written from its paper's tables, with the graph's own operators, so that the calibration reads the same
terms as a prediction does. `samples` compares their multiply-adds with the printed ones, leaves out a network
that does not come within 3 %, and says why it has no others.
"""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.network.arch import Architecture
from snsearch.network.graph import OpGraph
from snsearch.network.operators import Activation, BlockBuilder, Op


def rounded(value: float, step: int) -> int:
    """The multiple of step nearest to the value, at least 90 % of it (arXiv:1801.04381, released code)."""
    found = max(step, int(value + step / 2) // step * step)
    return found + step if found < 0.9 * value else found


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


def architecture(unit: str, **changes: object) -> Architecture:
    """An architecture of ShuffleNet's stages (arXiv:1707.01083, Table 1), with the changes asked for."""
    values: dict[str, object] = {
        "unit": unit,
        "groups": 1,
        "bottleneck": 4,
        "shuffle": True,
        "se_reduction": 0,
        "stem_channels": 24,
        "stem_stride": 2,
        "stem_pool": True,
        "stage_repeats": (4, 8, 4),
        "stage_strides": (2, 2, 2),
        "input_channels": 3,
        "resolution": (224, 224),
        "classes": 1000,
    }
    return Architecture(**{**values, **changes})  # type: ignore[arg-type]


def shufflenet_v1(groups: int, first: int, stem: int = 24) -> tuple[Op, ...]:
    """ShuffleNet (arXiv:1707.01083, Table 1) with that first-stage width."""
    widths = (first, 2 * first, 4 * first)
    return OpGraph.of(architecture("shufflenet", groups=groups, stage_channels=widths, stem_channels=stem)).ops


def mobilenet_v1(scale: float, height: int = 224, width: int = 224) -> tuple[Op, ...]:
    """MobileNet (arXiv:1704.04861, Table 1)."""
    net = Net(3, height, width)
    at = net.cbr(0, int(32 * scale), 3, 2)
    for channels, stride, repeats in ((64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 2, 1),
                                      (512, 1, 5), (1024, 2, 1), (1024, 1, 1)):  # fmt: skip
        for _ in range(repeats):
            at = net.cbr(net.dw(at, stride), int(channels * scale))
    return net.classify(at)


def inverted_residuals(
    net: Net, at: int, rows: Sequence[tuple[int, int, int, int, int]], *, groups: int = 1, gate: float = 0
) -> int:
    """Rows of (expansion, channels, units, stride, kernel) of MobileNet v2; `gate` is SE's share of its input."""
    for expansion, channels, repeats, first_stride, kernel in rows:
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            source, read = at, net.ops[at].channels
            if expansion > 1:
                at = net.cbr(at, read * expansion, groups=groups)
            at = net.dw(at, stride, kernel)
            if gate:
                at = net.gate(at, max(1, int(read * gate)))
            at = net.linear_conv(at, channels, groups)
            if stride == 1 and read == channels:
                at = net.add("add", source, at)
    return at


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(scale: float, side: int = 224, step: int = 8) -> tuple[Op, ...]:
    """MobileNet v2 (arXiv:1801.04381, Table 2)."""
    net = Net(3, side, side)
    at = net.cbr(0, rounded(32 * scale, step), 3, 2)
    rows = [(t, rounded(c * scale, step), n, s, 3) for t, c, n, s in MOBILENET_V2]
    at = inverted_residuals(net, at, rows)
    return net.classify(net.cbr(at, max(1280, rounded(1280 * scale, step))))


def igcv3(scale: float, groups: int = 2) -> tuple[Op, ...]:
    """IGCV3-D (arXiv:1806.00178): MobileNet v2 with its pointwise convolutions in two groups, and twice as deep."""
    net = Net(3, 224, 224)
    at = net.cbr(0, rounded(32 * scale, 8), 3, 2)
    twice = [(t, rounded(c * scale, 8), n if n == 1 else 2 * n, s, 3) for t, c, n, s in MOBILENET_V2]
    at = inverted_residuals(net, at, twice[:1])
    at = inverted_residuals(net, at, twice[1:], groups=groups)
    return net.classify(net.cbr(at, max(1280, rounded(1280 * scale, 8))))


def shufflenet_v2(
    widths: tuple[int, int, int], last: int = 1024, *, merged: bool = True, se: bool = False
) -> tuple[Op, ...]:
    """ShuffleNet v2 (arXiv:1807.11164, Figure 3 and Table 5).

    `merged`: concatenation, shuffle and split are one pass over memory, as that paper's section 3 says of its own
    implementation. `se`: where and how far SE squeezes is not printed; behind the concatenation and to half of the
    channels makes the six MFLOPs by which the printed 597 differ from 591.
    """
    side = 224
    net = Net(3, side, side)
    at = net.pool("pool", net.cbr(0, 24, 3, 2), "max_pool")

    def block(passed: int, source: int, half: int, stride: int) -> int:
        right = net.cbr(net.dw(net.cbr(source, half), stride, activation="none"), half)
        joined = net.join(passed, right)
        joined = net.gate(joined, half) if se else joined
        return joined if merged else net.channel_shuffle("shuffle", joined, 2)

    for channels, repeats in zip(widths, (4, 8, 4), strict=True):
        half = channels // 2
        at = block(net.cbr(net.dw(at, 2, activation="none"), half), at, half, 2)
        for _ in range(repeats - 1):
            at = block(net.half(at), net.half(at), half, 1)
    return net.classify(net.cbr(at, last))


def xception_like(first: int, stem: int) -> tuple[Op, ...]:
    """The ShuffleNet unit with one group, as small Xceptions are laid out (arXiv:1711.07264, Table 7)."""
    return shufflenet_v1(1, first, stem)


def alexnet(height: int = 227, width: int = 227, classifier: bool = True) -> tuple[Op, ...]:
    """AlexNet of one tower (two groups in the second, fourth and fifth convolution)."""
    net = Net(3, height, width)

    def after(side: tuple[int, int], kernel: int, stride: int) -> tuple[int, int]:
        return (side[0] - kernel) // stride + 1, (side[1] - kernel) // stride + 1

    size = after((height, width), 11, 4)
    at = net.conv_to(0, 96, size, kernel=11, stride=4)
    size = after(size, 3, 2)
    at = net.cbr(net.pool_to(at, size), 256, 5, groups=2)
    size = after(size, 3, 2)
    at = net.cbr(net.pool_to(at, size), 384, 3)
    at = net.cbr(net.cbr(at, 384, 3, groups=2), 256, 3, groups=2)
    at = net.pool_to(at, after(size, 3, 2))
    if classifier:
        flat = net.ops[at]
        pixels = flat.height * flat.width
        net.ops.append(Op("flat", "input", (), flat.channels * pixels, flat.channels * pixels, 1, 1))
        at = len(net.ops) - 1
        for channels in (4096, 4096, 1000):
            at = net.linear("fc", at, channels)
    return tuple(net.ops)


def vgg16() -> tuple[Op, ...]:
    """VGG-16 (arXiv:1409.1556, configuration D)."""
    net = Net(3, 224, 224)
    at, side = 0, 224
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            at = net.cbr(at, channels, 3)
        side //= 2
        at = net.pool_to(at, side, kernel=2)
    net.ops.append(Op("flat", "input", (), 25088, 25088, 1, 1))
    at = len(net.ops) - 1
    for channels in (4096, 4096, 1000):
        at = net.linear("fc", at, channels)
    return tuple(net.ops)


def squeezenet() -> tuple[Op, ...]:
    """SqueezeNet 1.1 (arXiv:1602.07360, released code) at 227x227."""
    net = Net(3, 227, 227)
    at = net.pool_to(net.conv_to(0, 64, 113, kernel=3, stride=2), 56)
    for squeeze, expand, side in ((16, 64, 0), (16, 64, 28), (32, 128, 0), (32, 128, 14), (48, 192, 0), (48, 192, 0),
                                  (64, 256, 0), (64, 256, 0)):  # fmt: skip
        at = net.cbr(at, squeeze)
        at = net.join(net.cbr(at, expand), net.cbr(at, expand, 3))
        if side:
            at = net.pool_to(at, side)
    at = net.cbr(at, 1000)
    net.global_pool("pool", at)
    return tuple(net.ops)


def resnet18() -> tuple[Op, ...]:
    """ResNet-18 (arXiv:1512.03385, Table 1)."""
    net = Net(3, 224, 224)
    at = net.pool("pool", net.cbr(0, 64, 7, 2), "max_pool")
    for channels, first_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first_stride, 1):
            source = at
            at = net.cbr(net.cbr(at, channels, 3, stride), channels, 3)
            if net.ops[source].channels != channels:
                source = net.cbr(source, channels, 1, stride)
            at = net.add("add", source, at)
    return net.classify(at)


def resnet50() -> tuple[Op, ...]:
    """ResNet-50 (arXiv:1512.03385, Table 1; the first 1x1 convolution carries the stride)."""
    net = Net(3, 224, 224)
    at = net.pool("pool", net.cbr(0, 64, 7, 2), "max_pool")
    for channels, repeats, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(repeats):
            stride, source = (first_stride if index == 0 else 1), at
            at = net.cbr(net.cbr(net.cbr(at, channels, 1, stride), channels, 3), 4 * channels)
            if index == 0:
                source = net.cbr(source, 4 * channels, 1, stride)
            at = net.add("add", source, at)
    return net.classify(at)


def googlenet() -> tuple[Op, ...]:
    """GoogLeNet (arXiv:1409.4842, Table 1) without the auxiliary classifiers."""
    net = Net(3, 224, 224)
    at = net.pool_to(net.cbr(0, 64, 7, 2), 56)
    at = net.pool_to(net.cbr(net.cbr(at, 64), 192, 3), 28)
    for c1, r3, c3, r5, c5, cp, side in (
        (64, 96, 128, 16, 32, 32, 0), (128, 128, 192, 32, 96, 64, 14), (192, 96, 208, 16, 48, 64, 0),
        (160, 112, 224, 24, 64, 64, 0), (128, 128, 256, 24, 64, 64, 0), (112, 144, 288, 32, 64, 64, 0),
        (256, 160, 320, 32, 128, 128, 7), (256, 160, 320, 32, 128, 128, 0), (384, 192, 384, 48, 128, 128, 0),
    ):  # fmt: skip
        pooled = net.pool_to(at, net.ops[at].height, stride=1)
        at = net.join(
            net.cbr(at, c1), net.cbr(net.cbr(at, r3), c3, 3), net.cbr(net.cbr(at, r5), c5, 5), net.cbr(pooled, cp)
        )
        if side:
            at = net.pool_to(at, side)
    return net.classify(at)


def mnasnet() -> tuple[Op, ...]:
    """MnasNet-B1 (arXiv:1807.11626, released code)."""
    net = Net(3, 224, 224)
    at = net.cbr(0, 32, 3, 2)
    rows = (
        (1, 16, 1, 1, 3), (3, 24, 3, 2, 3), (3, 40, 3, 2, 5), (6, 80, 3, 2, 5), (6, 96, 2, 1, 3),
        (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
    )  # fmt: skip
    return net.classify(net.cbr(inverted_residuals(net, at, rows), 1280))


def proxylessnas() -> tuple[Op, ...]:
    """ProxylessNAS for mobile CPUs (arXiv:1812.00332, Figure 5 and released code)."""
    net = Net(3, 224, 224)
    at = net.cbr(0, 32, 3, 2)
    rows = (
        (1, 16, 1, 1, 3), (3, 32, 1, 2, 5), (3, 32, 1, 1, 3), (3, 40, 1, 2, 7), (3, 40, 1, 1, 3),
        (3, 40, 2, 1, 5), (6, 80, 1, 2, 7), (3, 80, 3, 1, 5), (6, 96, 1, 1, 5), (3, 96, 3, 1, 5),
        (6, 192, 1, 2, 7), (6, 192, 1, 1, 7), (3, 192, 2, 1, 7), (6, 320, 1, 1, 7),
    )  # fmt: skip
    return net.classify(net.cbr(inverted_residuals(net, at, rows), 1280))


def efficientnet_b0() -> tuple[Op, ...]:
    """EfficientNet-B0 (arXiv:1905.11946, Table 1), SE of a quarter of the unit's input."""
    net = Net(3, 224, 224)
    at = net.cbr(0, 32, 3, 2)
    rows = (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
    )  # fmt: skip
    return net.classify(net.cbr(inverted_residuals(net, at, rows, gate=0.25), 1280))


def mobilenet_v3() -> tuple[Op, ...]:
    """MobileNet v3 large (arXiv:1905.02244, Table 1)."""
    net = Net(3, 224, 224)
    at = net.cbr(0, 16, 3, 2)
    for kernel, inner, channels, se, stride in (
        (3, 16, 16, 0, 1), (3, 64, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 1, 2), (5, 120, 40, 1, 1),
        (5, 120, 40, 1, 1), (3, 240, 80, 0, 2), (3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1),
        (3, 480, 112, 1, 1), (3, 672, 112, 1, 1), (5, 672, 160, 1, 2), (5, 960, 160, 1, 1), (5, 960, 160, 1, 1),
    ):  # fmt: skip
        source, read = at, net.ops[at].channels
        if inner != read:
            at = net.cbr(at, inner)
        at = net.dw(at, stride, kernel)
        if se:
            at = net.gate(at, rounded(inner / 4, 8))
        at = net.linear_conv(at, channels)
        if stride == 1 and read == channels:
            at = net.add("add", source, at)
    at = net.global_pool("pool", net.cbr(at, 960))
    net.linear("classifier", net.linear("fc", at, 1280), 1000)
    return tuple(net.ops)


def regnety_400m() -> tuple[Op, ...]:
    """RegNetY-400MF (arXiv:2003.13678, Table 14 there and released code)."""
    net = Net(3, 224, 224)
    at = net.cbr(0, 32, 3, 2)
    for channels, repeats in ((48, 1), (104, 3), (208, 6), (440, 6)):
        for index in range(repeats):
            stride, source, read = (2 if index == 0 else 1), at, net.ops[at].channels
            at = net.cbr(net.cbr(at, channels), channels, 3, stride, groups=channels // 8)
            at = net.linear_conv(net.gate(at, read // 4), channels)
            if index == 0:
                source = net.cbr(source, channels, 1, 2)
            at = net.add("add", source, at)
    return net.classify(at)


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
