"""MACs and parameters written a second time, with plain loops and nothing of snsearch: the tests' own opinion.

`network` reads only the plain fields of an architecture. Formulas are those of the papers: ShuffleNet
(arXiv:1707.01083, Figure 2), ResNet and ResNeXt (arXiv:1512.03385, arXiv:1611.05431), MobileNet
(arXiv:1704.04861), and squeeze-and-excitation (arXiv:1709.01507).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Tally:
    """MACs, trainable parameters, and values of the deployed model (batch norm folded into a bias)."""

    macs: int = 0
    params: int = 0
    deployed: int = 0

    def conv(self, height: int, width: int, read: int, made: int, *, kernel: int = 1, groups: int = 1) -> None:
        """A convolution with batch norm that makes `made` channels of that size."""
        assert read % groups == 0, (read, groups)
        assert made % groups == 0, (made, groups)
        weights = made * (read // groups) * kernel**2
        self.macs += height * width * weights
        self.params += weights + 2 * made
        self.deployed += weights + made

    def linear(self, read: int, made: int) -> None:
        self.macs += read * made
        self.params += read * made + made
        self.deployed += read * made + made

    def squeeze_excite(self, channels: int, reduction: int) -> None:
        if reduction:
            squeezed = max(1, channels // reduction)
            self.linear(channels, squeezed)
            self.linear(squeezed, channels)


def halved(size: int, stride: int = 2) -> int:
    """Side of a "same"-padded output: size / stride, rounded up."""
    return (size + stride - 1) // stride


def nearest_multiple_ties_down(numerator: int, denominator: int, step: int) -> int:
    """The multiple of step nearest to the fraction, at least one step."""
    below = numerator // (denominator * step) * step
    candidates = [step] if below == 0 else [below, below + step]
    return min(candidates, key=lambda multiple: (abs(multiple * denominator - numerator), multiple))


def shufflenet_stage(
    tally: Tally,
    size: tuple[int, int],
    width_in: int,
    width_out: int,
    *,
    repeats: int,
    groups: int,
    opens_network: bool,
    stride: int = 2,
    bottleneck: int = 4,
    reduction: int = 0,
) -> tuple[int, int]:
    """Adds a stage of ShuffleNet units to the tally and returns the size behind it."""
    height, width = size
    inner = width_out // bottleneck
    for index in range(repeats):
        opens = opens_network and index == 0
        tally.conv(height, width, width_in, inner, groups=1 if opens else groups)
        concatenates = index == 0 and stride == 2
        if concatenates:
            height, width = halved(height), halved(width)
        tally.conv(height, width, inner, inner, kernel=3, groups=inner)
        tally.conv(height, width, inner, width_out - width_in if concatenates else width_out, groups=groups)
        tally.squeeze_excite(width_out, reduction)
        width_in = width_out
    return height, width


def network(arch: Any) -> Tally:
    """The totals of an architecture."""
    tally = Tally()
    height, width = (halved(side, arch.stem_stride) for side in arch.resolution)
    tally.conv(height, width, arch.input_channels, arch.stem_channels, kernel=3)
    if arch.stem_pool:
        height, width = halved(height), halved(width)
    read = arch.stem_channels
    stages = zip(
        arch.stage_channels, arch.stage_repeats, arch.stage_strides, arch.groups, arch.se_reduction, strict=True
    )
    for number, (made, repeats, stride, groups, reduction) in enumerate(stages):
        if arch.unit == "shufflenet":
            height, width = shufflenet_stage(
                tally,
                (height, width),
                read,
                made,
                repeats=repeats,
                groups=groups,
                opens_network=number == 0,
                stride=stride,
                bottleneck=arch.bottleneck,
                reduction=reduction,
            )
            read = made
            continue
        for unit in range(repeats):
            step = stride if unit == 0 else 1
            small = halved(height, step), halved(width, step)
            if arch.unit == "bottleneck":
                inner = nearest_multiple_ties_down(made, arch.bottleneck, groups)
                tally.conv(height, width, read, inner)
                tally.conv(*small, inner, inner, kernel=3, groups=groups)
                tally.conv(*small, inner, made)
                if step > 1 or read != made:
                    tally.conv(*small, read, made)
            elif arch.unit == "interleaved":  # arXiv:1806.00178
                inner = read * arch.bottleneck
                tally.conv(height, width, read, inner, groups=groups if number or unit else 1)
                tally.conv(*small, inner, inner, kernel=3, groups=inner)
                tally.conv(*small, inner, made, groups=groups)
            elif arch.unit == "plain":
                tally.conv(*small, read, made, kernel=3)
                tally.conv(*small, made, made, kernel=3)
            else:
                assert arch.unit == "separable"
                tally.conv(*small, read, read, kernel=3, groups=read)
                tally.conv(*small, read, made)
            tally.squeeze_excite(made, reduction)
            read = made
            height, width = small
    tally.linear(read, arch.classes)
    return tally
