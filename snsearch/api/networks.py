"""What a network costs under each way of counting, and its torch module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snsearch.api.solutions import Resolution, pixels_of
from snsearch.network import (
    Architecture,
    ConventionCount,
    CostReport,
    OpGraph,
    Precision,
    cost_report,
    count_conventions,
)
from snsearch.solver import Solution

if TYPE_CHECKING:
    from snsearch.network import FeatureNetwork, Network, Verification


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkCount:
    """A network's costs, and its total under each counting convention."""

    report: CostReport
    depth: int  # layers with weights, one behind the other
    conventions: tuple[ConventionCount, ...]  # the paper's first
    checked: Verification | None  # what thop and torch counted on the real module, if that was asked for

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and fully connected layers."""
        return self.report.totals.macs


def architecture_of(network: Architecture | Solution | str) -> Architecture:
    """The architecture itself, a solution's, or a key's. Raises SpecError if the text is not a key."""
    if isinstance(network, str):
        return Architecture.from_key(network)
    return network.architecture if isinstance(network, Solution) else network


def count(
    network: Architecture | Solution | str, *, precision: Precision = "float32", check: bool = False
) -> NetworkCount:
    """A network's costs, and its total under each counting convention.

    Args:
        network: an architecture, a solution or an architecture's key.
        precision: that sizes are counted at.
        check: run thop and torch's FlopCounterMode on the real module too.

    Raises:
        SpecError: the key is invalid, or groups do not divide channels.
        VerificationError: a counter disagrees with the cost report.

    Example:
        >>> import snsearch
        >>> key = "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"
        >>> counted = snsearch.count(key)
        >>> counted.macs, counted.report.totals.params
        (137460672, 1865728)
        >>> {one.convention: f"{one.total / 1e6:.1f} M" for one in counted.conventions}
        {'paper': '137.5 M', 'thop': '149.6 M', 'fvcore': '143.5 M', 'torch': '274.9 M'}
    """
    arch = architecture_of(network)
    graph = OpGraph.of(arch)
    checked = None
    if check:
        from snsearch.network import verify

        checked = verify(arch)
        checked.check()
    return NetworkCount(
        report=cost_report(graph, precision),
        depth=graph.depth,
        conventions=count_conventions(graph),
        checked=checked,
    )


def build(
    network: Architecture | Solution | str,
    *,
    channels: int | None = None,
    classes: int | None = None,
    resolution: Resolution | None = None,
    seed: int = 0,
    features_only: bool = False,
) -> Network | FeatureNetwork:
    """The torch module of a network, initialised from the seed, in training mode on the CPU.

    The module takes images of any size, and refuses images of other channels. torch's global random state is
    neither read nor changed.

    Args:
        network: an architecture, a solution or an architecture's key.
        channels: of the images, instead of the network's.
        classes: of the output, instead of the network's.
        resolution: of the images; below 64 pixels the stem reduces less, as in proxy training.
        seed: of the weights.
        features_only: leave the head out, and return the outputs of the stem and of every stage; the module's
            `strides` and `channels` describe them.

    Raises:
        SpecError: the key is invalid, or groups do not divide channels.

    Example:
        >>> import snsearch, torch
        >>> [found] = snsearch.solve(mflops=13, groups=3)
        >>> module = snsearch.build(found, classes=10)
        >>> module(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
        >>> features = snsearch.build(found, features_only=True)
        >>> features.strides, features.channels
        ((4, 8, 16, 32), (12, 60, 120, 240))
        >>> [tuple(output.shape) for output in features(torch.zeros(1, 3, 64, 64))]
        [(1, 12, 16, 16), (1, 60, 8, 8), (1, 120, 4, 4), (1, 240, 2, 2)]
        >>> module(torch.zeros(2, 1, 64, 64))
        Traceback (most recent call last):
        ValueError: the images have 1 channels, and the network takes 3
    """
    from snsearch.network import FeatureNetwork, build_model

    arch = architecture_of(network)
    channels, classes = channels or arch.input_channels, classes or arch.classes
    if resolution is None:
        arch = replace(arch, input_channels=channels, classes=classes)
    else:
        arch = arch.at_input(channels=channels, resolution=pixels_of(resolution), classes=classes)
    module = build_model(arch, seed)
    return FeatureNetwork(module) if features_only else module
