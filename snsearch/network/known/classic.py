"""AlexNet, VGG-16, GoogLeNet and SqueezeNet: convolutions with biases, and without batch norm.

Local response normalisation, which AlexNet and GoogLeNet have, is left out: it has no multiply-adds and no
parameters, and networks that came later are trained without it.
"""

from __future__ import annotations

from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.entry import KnownNetwork


def alexnet(net: ChainBuilder, classes: int) -> None:
    """AlexNet of one tower: two groups in the second, fourth and fifth convolution."""
    at = net.plain("conv1", 0, 96, 11, 4, padding=0)
    at = net.window("pool1", at, "max_pool", padding=0)
    at = net.plain("conv2", at, 256, 5, groups=2)
    at = net.plain("conv3", net.window("pool2", at, "max_pool", padding=0), 384, 3)
    at = net.plain("conv5", net.plain("conv4", at, 384, 3, groups=2), 256, 3, groups=2)
    net.window("pool5", at, "max_pool", padding=0)
    _dense_head(net, classes)


def vgg16(net: ChainBuilder, classes: int) -> None:
    """VGG-16, configuration D."""
    for stage, (channels, repeats) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        at = net.begin(f"stage{stage + 1}") if stage else 0
        for index in range(repeats):
            at = net.plain(f"conv{index + 1}", at, channels, 3)
        net.window("pool", at, "max_pool", 2, padding=0)
    _dense_head(net, classes)


def _dense_head(net: ChainBuilder, classes: int) -> None:
    at = net.flatten("flat", net.begin("head"))
    at = net.linear("fc6", at, 4096, "relu")
    net.linear("classifier", net.linear("fc7", at, 4096, "relu"), classes)


def googlenet(net: ChainBuilder, classes: int) -> None:
    """GoogLeNet without its auxiliary classifiers."""
    at = net.window("pool1", net.plain("conv1", 0, 64, 7, 2), "max_pool", padding=0, ceil=True)
    at = net.plain("conv2", net.plain("reduce2", at, 64), 192, 3)
    net.window("pool2", at, "max_pool", padding=0, ceil=True)
    stages = (
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
         (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    )  # fmt: skip
    for stage, modules in enumerate(stages, start=3):
        for index, (one, narrow3, three, narrow5, five, pooled) in enumerate(modules):
            at = net.begin(f"stage{stage}")
            if stage > 3 and index == 0:
                at = net.window("pool", at, "max_pool", padding=0, ceil=True)
            net.join(
                "concat",
                net.plain("one", at, one),
                net.plain("three", net.plain("reduce3", at, narrow3), three, 3),
                net.plain("five", net.plain("reduce5", at, narrow5), five, 5),
                net.plain("project", net.window("around", at, "max_pool", 3, 1), pooled),
            )
    net.classify(classes)


def _fire(net: ChainBuilder, at: int, squeeze: int, expand: int) -> int:
    at = net.plain("squeeze", at, squeeze)
    return net.join("concat", net.plain("one", at, expand), net.plain("three", at, expand, 3))


def squeezenet_1_0(net: ChainBuilder, classes: int) -> None:
    """SqueezeNet 1.0."""
    _squeezenet(net, net.plain("conv", 0, 96, 7, 2, padding=0), (3, 4, 1), classes)


def squeezenet_1_1(net: ChainBuilder, classes: int) -> None:
    """SqueezeNet 1.1: a smaller first convolution, and pooling earlier."""
    _squeezenet(net, net.plain("conv", 0, 64, 3, 2, padding=0), (2, 2, 4), classes)


def _squeezenet(net: ChainBuilder, stem: int, modules: tuple[int, ...], classes: int) -> None:
    """Fire modules in three stages, with pooling before each."""
    net.window("pool", stem, "max_pool", padding=0, ceil=True)
    widths = iter(((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)))
    for stage, count in enumerate(modules, start=2):
        for index in range(count):
            at = net.begin(f"stage{stage}")
            if stage > 2 and index == 0:
                at = net.window("pool", at, "max_pool", padding=0, ceil=True)
            _fire(net, at, *next(widths))
    at = net.plain("conv", net.begin("head"), classes)
    net.global_pool("pool", at)


CLASSIC: tuple[KnownNetwork, ...] = (
    KnownNetwork(
        name="alexnet",
        title="AlexNet",
        source="Krizhevsky et al., 2012; the BVLC model of one tower",
        network=alexnet,
        resolution=227,
        mflops=720,
        top1_error=42.8,
        params=60,
        figures="arXiv:1707.01083, Table 6; parameters: arXiv:1704.04861, Table 9",
        family="AlexNet",
    ),
    KnownNetwork(
        name="vgg-16",
        title="VGG-16",
        source="arXiv:1409.1556, configuration D",
        network=vgg16,
        mflops=15300,
        top1_error=28.5,
        params=138,
        figures="arXiv:1707.01083, Table 6; parameters: arXiv:1409.1556, Table 2",
        note="the printed MFLOPs are those of the convolutions alone, 15,347 M",
        family="VGG",
    ),
    KnownNetwork(
        name="googlenet",
        title="GoogLeNet",
        source="arXiv:1409.4842, Table 1, without the auxiliary classifiers",
        network=googlenet,
        mflops=1500,
        top1_error=31.3,
        params=6.8,
        figures="arXiv:1707.01083, Table 6; parameters: arXiv:1704.04861, Table 8",
        note="both are the sums of arXiv:1409.4842, Table 1, with 34 M for the first convolution, which has 118 M, "
        "and with most parameters in thousands of 1,024",
        benchncnn="googlenet",
        family="GoogLeNet",
    ),
    KnownNetwork(
        name="squeezenet-1.0",
        title="SqueezeNet 1.0",
        source="arXiv:1602.07360",
        network=squeezenet_1_0,
        resolution=227,
        mflops=833,
        top1_error=42.5,
        params=1.25,
        figures="arXiv:1707.01083, Table 6; parameters: arXiv:1602.07360, Table 1",
        family="SqueezeNet",
    ),
    KnownNetwork(
        name="squeezenet-1.1",
        title="SqueezeNet 1.1",
        source="arXiv:1602.07360, released code",
        network=squeezenet_1_1,
        resolution=227,
        mflops=349,
        params=1.235,
        figures="torchvision's code of squeezenet1_1",
        note="printed for images of 224 pixels; 227 are those of ncnn's list",
        benchncnn="squeezenet",
        family="SqueezeNet",
    ),
)
