"""The structure units that a stage repeats.

To add one, write its builder function here and list it in STRUCTURE_UNITS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.operators import BlockBuilder


class BlockSpec(NamedTuple):
    """What determines a block of an architecture: equal specs have equal operators and costs."""

    kind: Literal["stem", "unit", "head"]
    channels_in: int
    channels_out: int
    height_in: int
    width_in: int
    stride: int
    opens_network: bool  # first unit after the stem: its first pointwise convolution is not grouped
    groups: int = 1  # of its stage
    se_reduction: int = 0  # of its stage


UnitBuilder = Callable[[BlockBuilder, Architecture, BlockSpec], None]


def shufflenet_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """ShuffleNet unit (arXiv:1707.01083, Figure 2 b and c; Figure 2 a with one group and no shuffle).

    Squeeze-and-excitation acts on the unit's whole output width: on the branch before the sum, or after the
    concatenation. So counted, 2x has the 527 MFLOPs of the paper.
    """
    downsamples = spec.stride > 1
    if spec.stride > 2:
        raise SpecError(f"a ShuffleNet unit has a stride of 1 or 2, not {spec.stride}")
    if downsamples:
        build.must_widen(spec.channels_in, spec.channels_out)
    inner = build.at_least_one(spec.channels_out // arch.bottleneck)
    first_groups = 1 if spec.opens_network else spec.groups
    branch = build.conv("expand", 0, inner, groups=first_groups)
    if arch.shuffle and spec.groups > 1:
        branch = build.channel_shuffle("shuffle", branch, spec.groups)
    branch = build.depthwise("depthwise", branch, stride=spec.stride)
    project_out = spec.channels_out - spec.channels_in if downsamples else spec.channels_out
    branch = build.conv(
        "project", branch, project_out, groups=spec.groups, activation="none", ends_branch=not downsamples
    )
    if downsamples:
        shortcut = build.pool("shortcut", 0, "avg_pool")
        build.squeeze_excite(build.concat("concat", shortcut, branch), spec.se_reduction)
    else:
        build.add("add", 0, build.squeeze_excite(branch, spec.se_reduction))


def bottleneck_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """ResNet bottleneck (arXiv:1512.03385), and ResNeXt's (arXiv:1611.05431) with groups on the 3x3 convolution.

    Where shapes change, a strided 1x1 convolution projects the shortcut. The bottleneck's width is the output width
    over the bottleneck ratio, rounded to the nearest multiple of the group count. A tie rounds down, which gives
    the 192 output channels that the ShuffleNet paper has for ResNeXt at 38 MFLOPs.
    """
    groups = spec.groups
    narrowed = -(-(2 * spec.channels_out - groups * arch.bottleneck) // (2 * groups * arch.bottleneck))
    inner = build.at_least_one(narrowed) * groups
    branch = build.conv("reduce", 0, inner)
    branch = build.conv("spatial", branch, inner, kernel=3, stride=spec.stride, groups=groups)
    branch = build.conv("expand", branch, spec.channels_out, activation="none", ends_branch=True)
    branch = build.squeeze_excite(branch, spec.se_reduction)
    shortcut = 0
    if spec.stride > 1 or build.differ(spec.channels_in, spec.channels_out):
        shortcut = build.conv("shortcut", 0, spec.channels_out, stride=spec.stride, activation="none")
    build.add("add", shortcut, branch)


def plain_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Two 3x3 convolutions without a shortcut (the "VGG-like" unit of ShuffleNet's Table 4)."""
    branch = build.conv("first", 0, spec.channels_out, kernel=3, stride=spec.stride)
    branch = build.conv("second", branch, spec.channels_out, kernel=3)
    build.squeeze_excite(branch, spec.se_reduction)


def separable_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Depthwise separable convolution of MobileNet (arXiv:1704.04861, Figure 3)."""
    branch = build.depthwise("depthwise", 0, stride=spec.stride, activation="relu")
    branch = build.conv("pointwise", branch, spec.channels_out)
    build.squeeze_excite(branch, spec.se_reduction)


def interleaved_unit(build: BlockBuilder, arch: Architecture, spec: BlockSpec) -> None:
    """Interleaved low-rank group convolutions (IGCV3, arXiv:1806.00178): two grouped 1x1 convolutions.

    Between them, a shuffle interleaves the groups. The unit is wider inside, by `bottleneck`. It adds its input where
    shapes allow, with no activation behind the sum. The network's first convolution of this kind is not grouped.
    """
    inner = spec.channels_in * arch.bottleneck
    branch = build.conv("expand", 0, inner, groups=1 if spec.opens_network else spec.groups, activation="none")
    if arch.shuffle and spec.groups > 1:
        branch = build.channel_shuffle("shuffle", branch, spec.groups)
    branch = build.depthwise("depthwise", branch, stride=spec.stride, activation="relu")
    adds = spec.stride == 1 and not build.differ(spec.channels_in, spec.channels_out)
    branch = build.conv("project", branch, spec.channels_out, groups=spec.groups, activation="none", ends_branch=adds)
    branch = build.squeeze_excite(branch, spec.se_reduction)
    if adds:
        build.add("add", 0, branch, "none")


STRUCTURE_UNITS: dict[str, UnitBuilder] = {
    "shufflenet": shufflenet_unit,
    "bottleneck": bottleneck_unit,
    "plain": plain_unit,
    "separable": separable_unit,
    "interleaved": interleaved_unit,
}
