"""Populations against each network on its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from snsearch.errors import SpecError
from snsearch.latency.population import predict_population
from snsearch.latency.profile import Profile
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.network.population import Population, count_population
from tests.architectures import shufflenet
from tests.latency.test_arrays import PROFILES

UNITS = ("shufflenet", "bottleneck", "plain", "separable")


def _networks(unit: str, *, largest: int = 1) -> list[Architecture]:
    """Networks that differ in all that a population's may; many cannot be built."""
    random = Random(unit)
    like = shufflenet(1, 24, 48, 96, unit=unit)
    found = []
    for _ in range(300):
        groups = tuple(random.choice((1, 2, 4)) for _ in range(3))
        first = random.randrange(32, 120, 8)
        widths = (first, first + random.choice((0, 16, 32, 48)), random.randrange(64, 400, 16) * largest)
        found.append(
            replace(
                like,
                groups=groups,
                stem_channels=random.choice((3, 8, 24)),
                stage_channels=widths,
                stage_repeats=tuple(random.randrange(1, 5) for _ in range(3)),
                se_reduction=tuple(random.choice((0, 0, 16)) for _ in range(3)),
                shuffle=random.random() < 0.5,
            )
        )
    return found


@pytest.mark.parametrize("largest", [1, 10**9])
@pytest.mark.parametrize("unit", UNITS)
def test_every_figure_equals_the_networks_own(unit: str, largest: int) -> None:
    networks = _networks(unit, largest=largest)
    population = Population.of(networks)
    found = count_population(population, "float16")
    buildable = 0
    for index, arch in enumerate(networks):
        assert population.network(index) == arch
        figures = {name: int(getattr(found, name)[index]) for name in ("macs", "params", "weight_bytes")}
        figures |= {name: int(getattr(found, name)[index]) for name in ("bytes_moved", "peak_activation_bytes")}
        try:
            own = count_costs(arch, "float16")
        except SpecError:
            assert not found.buildable[index]
            assert not any(figures.values())
            continue
        buildable += 1
        assert found.buildable[index]
        if own.macs < 2**63:
            assert figures == {name: getattr(own, name) for name in figures}
    assert buildable > 50


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("unit", UNITS)
def test_every_latency_is_exactly_the_networks_own(unit: str, profile: Profile) -> None:
    networks = _networks(unit)
    refusing = replace(profile, unseen=("gate_bytes",))
    for one in (profile, refusing):
        found = predict_population(one, Population.of(networks))
        for arch, ms in zip(networks, found.tolist(), strict=True):
            try:
                own = one.predict(arch).ms
            except SpecError:
                assert np.isnan(ms)
            else:
                assert ms == own


def test_networks_that_differ_in_more_are_no_population() -> None:
    with pytest.raises(SpecError, match="differ in more than widths"):
        Population.of([shufflenet(1, 24, 48, 96), shufflenet(1, 24, 48, 96, classes=7)])
    with pytest.raises(SpecError, match="at least one network"):
        Population.of([])
