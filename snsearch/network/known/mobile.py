"""MobileNets, MnasNet, ProxylessNAS, EfficientNet and IGCV3: inverted residuals."""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.network.arch import Architecture
from snsearch.network.known.builder import ChainBuilder, rounded
from snsearch.network.known.entry import Describe, KnownNetwork
from snsearch.network.operators import Activation


def mobilenet_v1(scale: float) -> Architecture:
    """MobileNet (arXiv:1704.04861, Table 1)."""
    return Architecture(
        unit="separable",
        groups=1,  # type: ignore[arg-type]  # of every stage
        bottleneck=1,
        shuffle=False,
        se_reduction=0,  # type: ignore[arg-type]
        stem_channels=int(32 * scale),
        stem_stride=2,
        stem_pool=False,
        stage_channels=tuple(int(width * scale) for width in (64, 128, 256, 512, 1024)),
        stage_repeats=(1, 2, 2, 6, 2),
        stage_strides=(1, 2, 2, 2, 2),
        input_channels=3,
        resolution=(224, 224),
        classes=1000,
    )


Row = tuple[int, int, int, int, int]  # expansion, channels, units, first stride, kernel

MOBILENET_V2: tuple[Row, ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)


def inverted_residual(
    net: ChainBuilder,
    inner: int,
    channels: int,
    kernel: int,
    stride: int,
    *,
    activation: Activation = "relu",
    groups: int = 1,
    squeezed: int = 0,
    gates: tuple[Activation, Activation] = ("relu", "sigmoid"),
    gated_before: bool = False,
) -> None:
    """The operators of one unit: wider, depthwise, narrower, and a sum where shapes allow.

    Args:
        net: has the unit's input.
        inner: channels between the pointwise convolutions; those of the input: no first convolution.
        channels: that the unit outputs.
        kernel: of the depthwise convolution.
        stride: of the depthwise convolution.
        activation: of the first two convolutions.
        groups: of the pointwise convolutions.
        squeezed: channels of the gate's bottleneck; 0: no gate.
        gates: the gate's activations, inside and at its end.
        gated_before: the gate is before the depthwise convolution's activation.
    """
    read = net.ops[0].channels
    at = 0
    if inner != read:
        at = net.layer("expand", at, inner, groups=groups, activation=activation)
    at = net.layer(
        "depthwise", at, inner, kernel, stride, groups=inner, activation="none" if gated_before else activation
    )
    if squeezed:
        at = net.gate(at, squeezed, inner=gates[0], outer=gates[1])
    if gated_before:
        at = net.activate("gated", at, activation)
    adds = stride == 1 and read == channels
    at = net.layer("project", at, channels, groups=groups, activation="none")
    if adds:
        net.ops[at] = net.ops[at]._replace(ends_branch=True)
        net.add("add", 0, at, "none")


def inverted_residuals(
    net: ChainBuilder,
    rows: Sequence[Row],
    *,
    activation: Activation = "relu",
    groups: int = 1,
    gate: float = 0,
    gates: tuple[Activation, Activation] = ("relu", "sigmoid"),
    first: int = 2,
) -> None:
    """A stage for each row; `gate` is SE's share of a unit's input, `first` the number of the first stage."""
    for stage, (expansion, channels, repeats, first_stride, kernel) in enumerate(rows, start=first):
        for index in range(repeats):
            net.begin(f"stage{stage}")
            read = net.ops[0].channels
            inverted_residual(
                net,
                read * expansion,
                channels,
                kernel,
                first_stride if index == 0 else 1,
                activation=activation,
                groups=groups if expansion > 1 else 1,
                squeezed=max(1, int(read * gate)) if gate else 0,
                gates=gates,
            )


def _last(net: ChainBuilder, channels: int, activation: Activation, classes: int) -> None:
    """The last convolution and the head."""
    net.layer("conv", net.begin("last"), channels, activation=activation)
    net.classify(classes)


def mobilenet_v2(scale: float, step: int = 8) -> Describe:
    """MobileNet v2 (arXiv:1801.04381, Table 2)."""

    def describe(net: ChainBuilder, classes: int) -> None:
        net.layer("conv", 0, rounded(32 * scale, step), 3, 2, activation="relu6")
        rows = [(t, rounded(c * scale, step), n, s, k) for t, c, n, s, k in MOBILENET_V2]
        inverted_residuals(net, rows, activation="relu6")
        _last(net, max(1280, rounded(1280 * scale, step)), "relu6", classes)

    return describe


def igcv3(scale: float, groups: int = 2, *, merged: bool = False) -> Describe:
    """IGCV3-D: MobileNet v2 with its pointwise convolutions in two groups, twice as deep, with shuffles between.

    The interleaving between a unit's two grouped convolutions is a channel shuffle before the depthwise one, which
    commutes with it. The authors' code shuffles behind the second one too.

    Args:
        scale: of the widths.
        groups: of the pointwise convolutions.
        merged: as the bundled profile of the Snapdragon 810 was fitted: without the shuffle, and the first unit is
            MobileNet v2's.
    """

    def describe(net: ChainBuilder, classes: int) -> None:
        net.layer("conv", 0, rounded(32 * scale), 3, 2, activation="relu6")
        for stage, (expansion, channels, repeats, first_stride, kernel) in enumerate(MOBILENET_V2, start=2):
            channels = rounded(channels * scale)
            for index in range(repeats if repeats == 1 else 2 * repeats):
                at, stride = net.begin(f"stage{stage}"), first_stride if index == 0 else 1
                read = net.ops[0].channels
                if merged and expansion == 1:
                    inverted_residual(net, read, channels, kernel, stride, activation="relu6")
                    continue
                at = net.layer("expand", at, read * expansion, groups=groups, activation="none")
                at = at if merged else net.channel_shuffle("shuffle", at, groups)
                inner = net.ops[at].channels
                at = net.layer("depthwise", at, inner, kernel, stride, groups=inner, activation="relu6")
                at = net.layer("project", at, channels, groups=groups, activation="none")
                if index > 0:
                    net.ops[at] = net.ops[at]._replace(ends_branch=True)
                    net.add("add", 0, at, "none")
        _last(net, max(1280, rounded(1280 * scale)), "relu6", classes)

    return describe


def searched(rows: Sequence[Row], stem: int = 32, activation: Activation = "relu") -> Describe:
    """Rows of inverted residuals that a search found."""

    def describe(net: ChainBuilder, classes: int) -> None:
        net.layer("conv", 0, stem, 3, 2, activation=activation)
        inverted_residuals(net, rows, activation=activation)
        _last(net, 1280, activation, classes)

    return describe


MNASNET_B1: tuple[Row, ...] = (
    (1, 16, 1, 1, 3), (3, 24, 3, 2, 3), (3, 40, 3, 2, 5), (6, 80, 3, 2, 5), (6, 96, 2, 1, 3),
    (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
PROXYLESS_MOBILE: tuple[Row, ...] = (
    (1, 16, 1, 1, 3), (3, 32, 1, 2, 5), (3, 32, 1, 1, 3), (3, 40, 1, 2, 7), (3, 40, 1, 1, 3),
    (3, 40, 2, 1, 5), (6, 80, 1, 2, 7), (3, 80, 3, 1, 5), (6, 96, 1, 1, 5), (3, 96, 3, 1, 5),
    (6, 192, 1, 2, 7), (6, 192, 1, 1, 7), (3, 192, 2, 1, 7), (6, 320, 1, 1, 7),
)  # fmt: skip


def mnasnet_a1(net: ChainBuilder, classes: int) -> None:
    """MnasNet-A1: SE of a quarter of the unit's input on three stages."""
    net.layer("conv", 0, 32, 3, 2)
    rows = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (3, 40, 3, 2, 5), (6, 80, 4, 2, 3), (6, 112, 2, 1, 3),
            (6, 160, 3, 2, 5), (6, 320, 1, 1, 3))  # fmt: skip
    for stage, row in enumerate(rows, start=2):
        inverted_residuals(net, [row], gate=0.25 if stage in (4, 6, 7) else 0, first=stage)
    _last(net, 1280, "relu", classes)


def efficientnet_b0(net: ChainBuilder, classes: int) -> None:
    """EfficientNet-B0: SE of a quarter of the unit's input."""
    net.layer("conv", 0, 32, 3, 2, activation="swish")
    rows = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
            (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))  # fmt: skip
    inverted_residuals(net, rows, activation="swish", gate=0.25, gates=("swish", "sigmoid"))
    _last(net, 1280, "swish", classes)


V3Row = tuple[int, int, int, bool, bool, int]  # kernel, inner channels, channels, SE, hard swish, stride
MOBILENET_V3_LARGE: tuple[V3Row, ...] = (
    (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1),
)  # fmt: skip
MOBILENET_V3_SMALL: tuple[V3Row, ...] = (
    (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
)  # fmt: skip


def mobilenet_v3(rows: Sequence[V3Row], last: int, hidden: int) -> Describe:
    """MobileNet v3 (arXiv:1905.02244, Tables 1 and 2)."""

    def describe(net: ChainBuilder, classes: int) -> None:
        net.layer("conv", 0, 16, 3, 2, activation="hardswish")
        stage = 1
        for index, (kernel, inner, channels, se, hard, stride) in enumerate(rows):
            stage += stride > 1 or index == 0
            net.begin(f"stage{stage}")
            inverted_residual(
                net,
                inner,
                channels,
                kernel,
                stride,
                activation="hardswish" if hard else "relu",
                squeezed=rounded(inner / 4) if se else 0,
                gates=("relu", "hardsigmoid"),
            )
        net.layer("conv", net.begin("last"), last, activation="hardswish")
        at = net.global_pool("pool", net.begin("head"))
        net.linear("classifier", net.linear("fc", at, hidden, "hardswish"), classes)

    return describe


_INVERTED = "inverted residuals"

MOBILE: tuple[KnownNetwork, ...] = (
    *(
        KnownNetwork(
            name=f"mobilenet-v1-{scale:g}x",
            title=f"MobileNet {scale:g}x",
            source="arXiv:1704.04861, Table 1",
            network=mobilenet_v1(scale),
            mflops=mflops,
            top1_error=error,
            params=params,
            figures="arXiv:1704.04861, Table 6",
            benchncnn="mobilenet" if scale == 1 else "",
            family="MobileNet",
        )
        for scale, mflops, params, error in (
            (0.25, 41, 0.5, 49.4),
            (0.5, 149, 1.3, 36.3),
            (0.75, 325, 2.6, 31.6),
            (1, 569, 4.2, 29.4),
        )
    ),
    KnownNetwork(
        name="mobilenet-v2-1x",
        title="MobileNet v2 1x",
        source="arXiv:1801.04381, Table 2",
        network=mobilenet_v2(1),
        mflops=300,
        top1_error=28,
        params=3.4,
        figures="arXiv:1801.04381, Table 4",
        note="without batch norm's scales and shifts there are 3.47 M parameters, as the README of the authors' code "
        "prints",
        benchncnn="mobilenet_v2",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="mobilenet-v3-large",
        title="MobileNet v3 large",
        source="arXiv:1905.02244, Table 1",
        network=mobilenet_v3(MOBILENET_V3_LARGE, 960, 1280),
        mflops=219,
        params=5.4,
        figures="arXiv:1905.02244, Table 3",
        note="the README of the authors' code prints 217 M, as torchvision does, and torchvision 5.48 M parameters",
        # ncnn's reaches 160 channels one unit earlier, at 14x14 pixels: 13 % more multiply-adds.
        benchncnn="mobilenet_v3",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="mobilenet-v3-small",
        title="MobileNet v3 small",
        source="arXiv:1905.02244, Table 2",
        network=mobilenet_v3(MOBILENET_V3_SMALL, 576, 1024),
        mflops=56,
        params=2.5,
        figures="arXiv:1905.02244, Table 3; 66 M and 2.9 M in its earlier versions",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="mnasnet-a1",
        title="MnasNet-A1",
        source="arXiv:1807.11626, Figure 7",
        network=mnasnet_a1,
        mflops=312,
        params=3.9,
        figures="arXiv:1807.11626, section 6.1",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="mnasnet-b1",
        title="MnasNet-B1",
        source="arXiv:1807.11626, released code",
        network=searched(MNASNET_B1),
        mflops=314,
        params=4.383,
        figures="torchvision's code of mnasnet1_0",
        benchncnn="mnasnet",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="proxylessnas-mobile",
        title="ProxylessNAS (mobile)",
        source="arXiv:1812.00332, released code",
        network=searched(PROXYLESS_MOBILE, activation="relu6"),
        mflops=320,
        top1_error=25.4,
        params=4.08,
        figures="the README of the authors' code; parameters: pytorchcv's README",
        # ncnn's has 32 channels behind its first unit, where this one has 16: 5 % more multiply-adds.
        benchncnn="proxylessnasnet",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="efficientnet-b0",
        title="EfficientNet-B0",
        source="arXiv:1905.11946, Table 1",
        network=efficientnet_b0,
        mflops=390,
        params=5.3,
        figures="arXiv:1905.11946, Table 2",
        benchncnn="efficientnet_b0",
        family=_INVERTED,
    ),
    KnownNetwork(
        name="igcv3-d",
        title="IGCV3-D 1x",
        source="arXiv:1806.00178, released code",
        network=igcv3(1),
        mflops=318,
        top1_error=27.8,
        params=3.5,
        figures="arXiv:1807.11164, Table 8; parameters: the README of the authors' code",
        note="the layers of the authors' code make what is counted here",
        family="IGCV3",
    ),
)
