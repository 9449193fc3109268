"""Costs and predicted latencies of many networks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snsearch.api.arguments import checked
from snsearch.api.network_calls import own_architecture_of
from snsearch.device import named_profile
from snsearch.latency import Profile
from snsearch.network import Architecture, Precision
from snsearch.solver import Solution

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snsearch.network import Population, PopulationCosts


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulationCount:
    """The figures of many networks, in the order of the networks."""

    costs: PopulationCosts
    latency_ms: npt.NDArray[np.float64] | None  # NaN where the profile cannot predict; None without a profile

    def __repr__(self) -> str:
        return f"<the costs of {len(self.costs.macs):,} networks>"


@checked
def count_population(
    networks: Population | Sequence[Architecture | Solution | str],
    *,
    precision: Precision = "float32",
    profile: str | Profile | None = None,
) -> PopulationCount:
    """MACs, parameters, sizes, peak activation memory and predicted latency of many networks, as numpy arrays.

    Every figure equals the one that `count` and `predict` give. A million networks take a few seconds on one core,
    where they are given as arrays.

    Args:
        networks: architectures, solutions or keys of one unit, stem stride, input and class count, or a Population.
        precision: that sizes are counted at.
        profile: that predicts latencies: a record, a bundled name, the name of your own device, or a TOML file.

    Raises:
        SpecError: the networks differ in more than a Population can hold, or there is no such profile.
        DeviceError: the device has no profile yet.

    Example:
        >>> import snsearch
        >>> networks = list(snsearch.sample(100, mflops=40))
        >>> found = snsearch.count_population(networks, profile="snapdragon-820")
        >>> int(found.costs.macs.min()), int(found.costs.macs.max())
        (39938544, 40062360)
        >>> print(f"{found.latency_ms.min():.1f} to {found.latency_ms.max():.1f} ms")
        10.9 to 33.3 ms
    """
    from snsearch.latency import predict_population
    from snsearch.network import Population
    from snsearch.network import count_population as count_arrays

    if not isinstance(networks, Population):
        networks = Population.of([own_architecture_of(one, "a population") for one in networks])
    known = named_profile(profile) if isinstance(profile, str) else profile
    return PopulationCount(
        costs=count_arrays(networks, precision),
        latency_ms=None if known is None else predict_population(known, networks),
    )
