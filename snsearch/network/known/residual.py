"""ResNet, SE-ResNet, ResNeXt, RegNet and Xception: sums with shortcuts."""

from __future__ import annotations

from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.entry import KnownNetwork

_DEPTHS_50 = ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2))  # channels, units, first stride


def resnet_stem(net: ChainBuilder) -> None:
    net.pool("pool", net.layer("conv", 0, 64, 7, 2), "max_pool")


def resnet_18(net: ChainBuilder, classes: int) -> None:
    """ResNet-18: two 3x3 convolutions a unit."""
    resnet_stem(net)
    for stage, (channels, first_stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2)), start=2):
        for stride in (first_stride, 1):
            shortcut = net.begin(f"stage{stage}")
            at = net.layer("second", net.layer("first", 0, channels, 3, stride), channels, 3, activation="none")
            net.ops[at] = net.ops[at]._replace(ends_branch=True)
            if net.ops[0].channels != channels:
                shortcut = net.layer("shortcut", 0, channels, 1, stride, activation="none")
            net.add("add", shortcut, at)
    net.classify(classes)


def bottlenecks(
    net: ChainBuilder, classes: int, *, groups: int = 1, narrowing: int = 4, se: int = 0, early: bool = True
) -> None:
    """Fifty layers of bottlenecks.

    Args:
        net: collects them.
        classes: of the classifier.
        groups: of the 3x3 convolution.
        narrowing: output channels over those of the bottleneck.
        se: output channels over those of the gate's bottleneck.
        early: the first 1x1 convolution carries the stride, and not the 3x3 one.
    """
    resnet_stem(net)
    for stage, (channels, repeats, first_stride) in enumerate(_DEPTHS_50, start=2):
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            shortcut, inner = net.begin(f"stage{stage}"), channels // narrowing
            at = net.layer("reduce", 0, inner, 1, stride if early else 1)
            at = net.layer("spatial", at, inner, 3, 1 if early else stride, groups=groups)
            at = net.layer("expand", at, channels, activation="none")
            net.ops[at] = net.ops[at]._replace(ends_branch=True)
            at = net.squeeze_excite(at, se)
            if index == 0:
                shortcut = net.layer("shortcut", 0, channels, 1, stride, activation="none")
            net.add("add", shortcut, at)
    net.classify(classes)


def regnety_400m(net: ChainBuilder, classes: int) -> None:
    """RegNetY-400MF: bottlenecks without narrowing, eight channels a group, SE of a quarter of the unit's input."""
    net.layer("conv", 0, 32, 3, 2)
    for stage, (channels, repeats) in enumerate(((48, 1), (104, 3), (208, 6), (440, 6)), start=2):
        for index in range(repeats):
            stride, shortcut = (2 if index == 0 else 1), net.begin(f"stage{stage}")
            at = net.layer("spatial", net.layer("reduce", 0, channels), channels, 3, stride, groups=channels // 8)
            at = net.layer("expand", net.gate(at, net.ops[0].channels // 4), channels, activation="none")
            if index == 0:
                shortcut = net.layer("shortcut", 0, channels, 1, 2, activation="none")
            net.add("add", shortcut, at)
    net.classify(classes)


def separable(net: ChainBuilder, name: str, source: int, channels: int) -> int:
    """A depthwise and a pointwise convolution with one batch norm behind both, as Xception has it."""
    width = net.ops[source].channels
    at = net.layer(f"{name}_depthwise", source, width, 3, groups=width, activation="none", norm=False)
    return net.layer(name, at, channels, activation="none")


def xception(net: ChainBuilder, classes: int) -> None:
    """Xception: 34 separable convolutions."""
    at = net.layer("conv1", 0, 32, 3, 2, padding=0)
    net.layer("conv2", at, 64, 3, padding=0)
    for index, (first, second) in enumerate(((128, 128), (256, 256), (728, 728), (728, 1024))):
        if index == 3:
            for _ in range(8):
                at = net.begin("stage3")
                for name in ("first", "second", "third"):
                    at = separable(net, name, net.activate(f"{name}_relu", at), 728)
                net.add("add", 0, at, "none")
        at = net.begin("stage4" if index == 3 else "stage2")
        if index:
            at = net.activate("first_relu", at)
        at = separable(net, "first", at, first)
        at = separable(net, "second", net.activate("second_relu", at), second)
        at = net.window("pool", at, "max_pool")
        net.add("add", net.layer("shortcut", 0, second, 1, 2, activation="none"), at, "none")
    at = separable(net, "first", net.begin("stage5"), 1536)
    at = separable(net, "second", net.activate("first_relu", at), 2048)
    net.activate("second_relu", at)
    net.classify(classes)


RESIDUAL: tuple[KnownNetwork, ...] = (
    KnownNetwork(
        name="resnet-18",
        title="ResNet-18",
        source="arXiv:1512.03385, Table 1",
        network=resnet_18,
        mflops=1814,
        params=11.69,
        figures="torchvision's code of resnet18; 1.8 G in arXiv:1512.03385, Table 1",
        benchncnn="resnet18",
        family="ResNet",
    ),
    KnownNetwork(
        name="resnet-50",
        title="ResNet-50",
        source="arXiv:1512.03385, Table 1: the first 1x1 convolution carries the stride",
        network=bottlenecks,
        mflops=3860,
        params=25.56,
        figures="arXiv:1709.01507, Table 2; parameters: torchvision's documentation of resnet50",
        benchncnn="resnet50",
        family="ResNet",
    ),
    KnownNetwork(
        name="se-resnet-50",
        title="SE-ResNet-50",
        source="arXiv:1709.01507, Table 1",
        network=lambda net, classes: bottlenecks(net, classes, se=16),
        mflops=3870,
        params=28.1,
        figures="arXiv:1709.01507, Tables 2 and 10",
        family="ResNet",
    ),
    KnownNetwork(
        name="resnext-50",
        title="ResNeXt-50 (32x4d)",
        source="arXiv:1611.05431, Table 1",
        network=lambda net, classes: bottlenecks(net, classes, groups=32, narrowing=2, early=False),
        mflops=4240,
        params=25.0,
        figures="arXiv:1709.01507, Table 2; parameters: arXiv:1611.05431, Table 1",
        family="ResNet",
    ),
    KnownNetwork(
        name="regnety-400m",
        title="RegNetY-400MF",
        source="arXiv:2003.13678, and released code",
        network=regnety_400m,
        mflops=400,
        params=4.3,
        figures="arXiv:2003.13678, Figure 16",
        benchncnn="regnety_400m",
        family="ResNet",
    ),
    KnownNetwork(
        name="xception",
        title="Xception",
        source="arXiv:1610.02357, Figure 5",
        network=xception,
        resolution=299,
        mflops=8380,
        params=22.86,
        figures="arXiv:1707.07012, Table 2; parameters: arXiv:1610.02357, Table 3",
        family="Xception",
    ),
)
