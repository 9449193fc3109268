"""What a network costs under each way of counting, and its torch module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.api.arguments import checked, naming
from snsearch.api.places import study_names
from snsearch.api.solutions import Resolution, pixels_of
from snsearch.errors import SpecError
from snsearch.network import (
    KNOWN,
    AnyNetwork,
    Architecture,
    ConventionCount,
    CostReport,
    Costs,
    KnownNetwork,
    OpGraph,
    Precision,
    cost_report,
    count_conventions,
    count_costs,
    known_network,
    named,
    network_of,
)
from snsearch.solver import Solution
from snsearch.units import CHANNELS, CLASSES

if TYPE_CHECKING:
    from snsearch.network import FeatureNetwork, Network, Verification


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkCount:
    """A network's costs, and its total under each counting convention."""

    report: CostReport
    depth: int  # layers with weights, one behind the other
    conventions: tuple[ConventionCount, ...]  # the paper's first
    checked: Verification | None  # what thop and torch counted on the real module, if that was asked for

    def __repr__(self) -> str:
        report = self.report
        return f"<{report.architecture.key}: {self.macs / 1e6:.1f} MFLOPs, {report.totals.params:,} parameters>"

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and fully connected layers."""
        return self.report.totals.macs


def architecture_of(network: AnyNetwork | Solution | str, *others: str) -> AnyNetwork:
    """The network itself, a solution's, or that of a key or a known network's name.

    Raises SpecError, which says what else was looked for: the others, such as "study".
    """
    if isinstance(network, str):
        studies = study_names(Path("reports")) if "study" in others else ()
        return network_of(network, dict.fromkeys(others, studies))
    return network.architecture if isinstance(network, Solution) else network


def own_architecture_of(network: Architecture | Solution | str, what: str) -> Architecture:
    """As architecture_of, for what takes no known network of another kind. Raises SpecError."""
    found = architecture_of(network)
    if isinstance(found, Architecture):
        return found
    raise SpecError(f"{what} takes networks of snsearch's spaces; {found.key} is none of them")


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownCount:
    """A known network as it is counted, beside its printed figures."""

    known: KnownNetwork
    network: AnyNetwork
    costs: Costs

    def __repr__(self) -> str:
        return f"<{self.known.name}: {self.costs.mflops:.1f} MFLOPs, printed {self.known.mflops}>"

    @property
    def mflops_deviation(self) -> float | None:
        """Counted to printed multiply-adds, less 1."""
        return None if self.known.mflops is None else self.costs.mflops / self.known.mflops - 1

    @property
    def params_deviation(self) -> float | None:
        """Counted to printed parameters, less 1."""
        return None if self.known.params is None else self.costs.params / 1e6 / self.known.params - 1

    @property
    def reason(self) -> str:
        """Why a count is more than 1 % from the printed figure; "" if none is."""
        pairs = (
            (self.costs.mflops, self.known.mflops, self.mflops_deviation),
            (self.costs.params / 1e6, self.known.params, self.params_deviation),
        )
        far = [(mine, printed) for mine, printed, off in pairs if off is not None and abs(off) > WITHIN]
        if not far:
            return ""
        if all(_rounds_to(mine, printed) for mine, printed in far if printed is not None):
            return "equal as far as the printed figure has digits"
        return self.known.note


WITHIN = 0.01


def _rounds_to(value: float, printed: float) -> bool:
    """Whether the value is the printed figure in as many digits as that has."""
    digits = len(f"{printed:g}".replace(".", "").strip("0"))
    return float(f"{value:.{digits}g}") == printed


@checked
def networks(*names: str) -> tuple[KnownCount, ...]:
    """The known networks of the literature, counted, beside their printed figures: all, or those that are named.

    Their names are taken by `count`, `predict`, `measure`, `build` and `export` as an architecture's key is.

    Raises:
        SpecError: there is no such network.

    Example:
        >>> import snsearch
        >>> [found] = snsearch.networks("mobilenet-v2-1x")
        >>> f"{found.costs.mflops:.1f} MFLOPs, printed: {found.known.mflops}"
        '300.8 MFLOPs, printed: 300'
    """
    found = [known_network(name) for name in names] or KNOWN.values()
    return tuple(
        KnownCount(known=known, network=network, costs=count_costs(network))
        for known in found
        for network in (named(known),)
    )


@checked
def count(
    network: AnyNetwork | Solution | str, *, precision: Precision = "float32", check: bool = False
) -> NetworkCount:
    """A network's costs, and its total under each counting convention.

    Args:
        network: an architecture, a solution, an architecture's key or the name of a known network.
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


@checked
def build(
    network: AnyNetwork | Solution | str,
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
        network: an architecture, a solution, an architecture's key or the name of a known network. Trained weights
            of known networks are not part of snsearch; load your own into the module.
        channels: of the images, instead of the network's.
        classes: of the output, instead of the network's.
        resolution: of the images; below 64 pixels an architecture's stem reduces less, as in proxy training.
        seed: of the weights.
        features_only: leave the head out, and return the feature maps at the four largest strides; the module's
            `feature_info` describes them, as timm's does.

    Raises:
        SpecError: the key is invalid, groups do not divide channels, or a number is out of range.

    Example:
        >>> import snsearch, torch
        >>> [found] = snsearch.solve(mflops=13, groups=3)
        >>> module = snsearch.build(found, classes=10)
        >>> module(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
        >>> features = snsearch.build(found, features_only=True)
        >>> features.feature_info.reduction(), features.feature_info.channels()
        ([4, 8, 16, 32], [12, 60, 120, 240])
        >>> [tuple(output.shape) for output in features(torch.zeros(1, 3, 64, 64))]
        [(1, 12, 16, 16), (1, 60, 8, 8), (1, 120, 4, 4), (1, 240, 2, 2)]
        >>> module(torch.zeros(2, 1, 64, 64))
        Traceback (most recent call last):
        ValueError: the network takes 3-channel images; these have 1
    """
    from snsearch.network import FeatureNetwork, build_model

    arch = architecture_of(network)
    channels = arch.input_channels if channels is None else channels
    classes = arch.classes if classes is None else classes
    with naming("channels"):
        CHANNELS.check(channels, channels)
    with naming("classes"):
        CLASSES.check(classes, classes)
    if resolution is None:
        arch = replace(arch, input_channels=channels, classes=classes)
    else:
        arch = arch.at_input(channels=channels, resolution=pixels_of(resolution), classes=classes)
    module = build_model(arch, seed)
    return FeatureNetwork(module) if features_only else module
