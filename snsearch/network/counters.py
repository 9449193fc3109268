"""The cost report checked by counters that run the torch module: thop and torch's FlopCounterMode."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from snsearch.errors import VerificationError
from snsearch.network.conventions import count_conventions
from snsearch.network.costs import count_costs
from snsearch.network.graph import OpGraph
from snsearch.network.known.named import AnyNetwork
from snsearch.network.torch_model import Network, build_model


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """One network's counts by each counter."""

    report_macs: int
    report_params: int
    thop_macs: int  # thop on convolutions and fully connected layers only
    thop_total: int  # thop with its own rules
    thop_explained: int  # the closed form of thop's convention, which thop_total must equal
    torch_macs: int  # FlopCounterMode / 2
    module_params: int

    def check(self) -> None:
        """Raises VerificationError where a counter disagrees with the cost report."""
        pairs = {
            "thop, convolutions and fully connected layers": (self.thop_macs, self.report_macs),
            "torch FlopCounterMode / 2": (self.torch_macs, self.report_macs),
            "thop as it comes": (self.thop_total, self.thop_explained),
            "parameters of the module": (self.module_params, self.report_params),
        }
        for counter, (counted, expected) in pairs.items():
            if counted != expected:
                raise VerificationError(f"{counter}: counted {counted:,}, but the cost report has {expected:,}")


def _input(arch: AnyNetwork) -> torch.Tensor:
    return torch.zeros(1, arch.input_channels, *arch.resolution)


def _zero(module: Any, inputs: Any, output: Any) -> None:
    """thop's rule for a module that counts as zero: leave its counter as it is."""


def count_with_thop(network: Network, *, everything: bool) -> int:
    """thop's count of the network.

    Args:
        network: is left unchanged. thop adds keys to the state_dict of its model, so it gets a copy.
        everything: False counts the convolutions and fully connected layers alone.
    """
    with warnings.catch_warnings():
        # thop imports distutils, which is deprecated. That does not affect the count.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        import thop

    kinds = (nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
    rules = {} if everything else dict.fromkeys(kinds, _zero)
    profiled = copy.deepcopy(network).eval()
    total, _ = thop.profile(profiled, inputs=(_input(network.architecture),), custom_ops=rules, verbose=False)
    return round(float(total))


def count_with_torch(network: Network) -> int:
    """MACs by torch's FlopCounterMode, which counts two operations per multiply-add."""
    counter = FlopCounterMode(display=False)
    was_training = network.training
    network.eval()
    with counter, torch.no_grad():
        network(_input(network.architecture))
    network.train(was_training)
    flops = int(counter.get_total_flops())
    assert flops % 2 == 0, "FlopCounterMode counts two operations per multiply-add"
    return flops // 2


def verify(arch: AnyNetwork) -> Verification:
    """The counts of thop, torch and the module's own parameters, beside those of the cost report.

    Raises SpecError where groups do not divide channels.
    """
    network = build_model(arch)
    costs = count_costs(arch)
    [explained] = [count for count in count_conventions(OpGraph.of(arch)) if count.convention == "thop"]
    return Verification(
        report_macs=costs.macs,
        report_params=costs.params,
        thop_macs=count_with_thop(network, everything=False),
        thop_total=count_with_thop(network, everything=True),
        thop_explained=explained.total,
        torch_macs=count_with_torch(network),
        module_params=sum(parameter.numel() for parameter in network.parameters()),
    )
