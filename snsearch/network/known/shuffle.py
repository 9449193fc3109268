"""ShuffleNets."""

from __future__ import annotations

from snsearch.network.arch import Architecture
from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.entry import Describe, KnownNetwork


def shufflenet_v1(groups: int, first: int, stem: int = 24, *, se: int = 0) -> Architecture:
    """ShuffleNet (arXiv:1707.01083, Table 1) with that width of its first stage."""
    return Architecture(
        unit="shufflenet",
        groups=groups,  # type: ignore[arg-type]  # of every stage
        bottleneck=4,
        shuffle=True,
        se_reduction=se,  # type: ignore[arg-type]
        stem_channels=stem,
        stem_stride=2,
        stem_pool=True,
        stage_channels=(first, 2 * first, 4 * first),
        stage_repeats=(4, 8, 4),
        stage_strides=(2, 2, 2),
        input_channels=3,
        resolution=(224, 224),
        classes=1000,
    )


def shufflenet_v2(
    widths: tuple[int, int, int], last: int = 1024, *, merged: bool = False, se: bool = False
) -> Describe:
    """ShuffleNet v2 (arXiv:1807.11164, Figure 3 and Table 5).

    Args:
        widths: of the stages.
        last: channels of the last convolution.
        merged: concatenation, shuffle and split are one pass over memory, as that paper's section 3 says of its own
            implementation: without the shuffle, for predictions only.
        se: how far SE squeezes is not printed; behind the concatenation and to half of the channels makes the six
            MFLOPs by which the printed 597 differ from 591.
    """

    def describe(net: ChainBuilder, classes: int) -> None:
        net.pool("pool", net.layer("conv", 0, 24, 3, 2), "max_pool")
        for stage, (channels, repeats) in enumerate(zip(widths, (4, 8, 4), strict=True), start=2):
            half = channels // 2
            for index in range(repeats):
                passed = source = net.begin(f"stage{stage}")
                if index == 0:
                    passed = _depthwise(net, "passed_depthwise", source, 2)
                    passed = net.layer("passed_project", passed, half)
                else:
                    passed, source = net.slice("passed", 0, 0, half), net.slice("changed", 0, half, half)
                at = _depthwise(net, "depthwise", net.layer("expand", source, half), 1 if index else 2)
                at = net.join("concat", passed, net.layer("project", at, half))
                at = net.gate(at, half) if se else at
                if not merged:
                    net.channel_shuffle("shuffle", at, 2)
        net.layer("conv", net.begin("last"), last)
        net.classify(classes)

    return describe


def _depthwise(net: ChainBuilder, name: str, source: int, stride: int) -> int:
    channels = net.ops[source].channels
    return net.layer(name, source, channels, 3, stride, groups=channels, activation="none")


_TABLE_1 = "arXiv:1707.01083, Table 1"
_TABLE_5 = "arXiv:1707.01083, Table 5"
_WITH_ERROR = f"{_TABLE_1}; error: Table 2"
_RECOUNT = "the printed channels make what is counted here"
_NOTES = {
    (
        "0.5x",
        4,
    ): "no width near half of Table 1's makes 38 M; this one has the 576 channels of the text of section 4.2",
    ("1x", 4): _RECOUNT,
    ("1x", 8): _RECOUNT,
}

SHUFFLE: tuple[KnownNetwork, ...] = (
    *(
        KnownNetwork(
            name=f"shufflenet-v1-{scale}-g{groups}",
            title=f"ShuffleNet {scale} (g={groups})",
            source=f"{_TABLE_1}; the first convolution is that of the authors' code",
            network=shufflenet_v1(groups, first, stem),
            mflops=mflops,
            top1_error=error,
            params=params,
            figures=f"{figures}; parameters: the README of the authors' code" if params else figures,
            benchncnn="shufflenet" if (scale, groups) == ("1x", 3) else "",
            family="ShuffleNet",
            note=_NOTES.get((scale, groups), ""),
        )
        for scale, groups, first, stem, mflops, error, params, figures in (
            ("0.5x", 3, 120, 12, 38, 43.2, 0.7, "arXiv:1707.01083, Table 8; error: Table 2"),
            ("0.5x", 4, 144, 12, 38, 41.6, None, _TABLE_5),
            ("1x", 1, 144, 24, 143, 33.6, None, _WITH_ERROR),
            ("1x", 2, 200, 24, 140, 32.7, None, _WITH_ERROR),
            ("1x", 3, 240, 24, 137, 32.6, 1.9, _WITH_ERROR),
            ("1x", 4, 272, 24, 133, 32.8, None, _WITH_ERROR),
            ("1x", 8, 384, 24, 137, 32.4, 2.4, _WITH_ERROR),
            ("1.5x", 3, 360, 24, 292, 28.5, 3.4, _TABLE_5),
            ("2x", 3, 480, 48, 524, 26.3, 5.4, _TABLE_5),
        )
    ),
    KnownNetwork(
        name="shufflenet-v1-2x-g3-se",
        title="ShuffleNet 2x (g=3) with SE",
        source=_TABLE_5,
        network=shufflenet_v1(3, 480, 48, se=16),
        mflops=527,
        top1_error=24.7,
        family="ShuffleNet",
    ),
    *(
        KnownNetwork(
            name=f"shufflenet-v2-{scale}",
            title=f"ShuffleNet v2 {scale}",
            source="arXiv:1807.11164, Table 5",
            network=shufflenet_v2(widths, last),
            mflops=mflops,
            params=params,
            top1_error=error,
            figures="arXiv:1807.11164, Table 5; error: Table 8",
            note=f"the layers of Table 5 make what is counted here; torchvision prints {elsewhere} G for them",
            benchncnn="shufflenet_v2" if scale == "1x" else "",
            family="ShuffleNet v2",
        )
        for scale, widths, last, mflops, params, error, elsewhere in (
            ("0.5x", (48, 96, 192), 1024, 41, 1.4, 39.7, "0.04"),
            ("1x", (116, 232, 464), 1024, 146, 2.3, 30.6, "0.145"),
            ("1.5x", (176, 352, 704), 1024, 299, 3.5, 27.4, "0.296"),
            ("2x", (244, 488, 976), 2048, 591, 7.4, 25.1, "0.583"),
        )
    ),
)
