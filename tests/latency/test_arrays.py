"""Terms of arrays of networks against each network on its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from snsearch.errors import SpecError
from snsearch.latency.arrays import ArrayTerms, array_terms, completed
from snsearch.latency.profile import Profile, load_profile, read_profile
from snsearch.latency.sums import latency_sums, rising_rates
from snsearch.latency.terms import predict_ms
from snsearch.network.arch import Architecture
from snsearch.network.arrays import StageArrays
from tests.architectures import shufflenet

KERNELS = replace(read_profile(Path(__file__).parents[1] / "fixtures" / "v0" / "own_profile.toml"), unseen=())
# No shipped profile has rates of caches and of streamed weights.
STREAMED = replace(KERNELS, rates=(*KERNELS.rates, ("streamed_weight_bytes", 0.4), ("far_256k_bytes", 0.05)))
PROFILES = {
    "packing": load_profile("ncnn-raspberry-pi-4"),
    "cache": load_profile("counted-cortex-a72"),
    "kernels": KERNELS,
    "streamed": STREAMED,
}
UNITS = ("shufflenet", "bottleneck", "plain", "separable")


def networks(unit: str, count: int = 120) -> list[Architecture]:
    """Networks that differ in widths; a stage is often as wide as the one before, or as its groups."""
    random = Random(unit)
    arch = replace(shufflenet((2, 1, 4), 48, 96, 192, unit=unit), se_reduction=(16, 0, 3), stage_repeats=(1, 3, 2))
    found = []
    for _ in range(count):
        first = random.randrange(8, 120, 8)
        second = random.choice((first, first + random.randrange(4, 160, 4)))
        widths = (first, second, random.choice((16, second // 16 * 16 + random.randrange(16, 400, 16))))
        found.append(replace(arch, stem_channels=random.choice((2, 3, 4, 6)), stage_channels=widths))
    return found


def _over(archs: list[Architecture], counter: StageArrays) -> np.ndarray:
    stem = np.array([arch.stem_channels for arch in archs])
    columns = [np.array(column) for column in zip(*(arch.stage_channels for arch in archs), strict=True)]
    total = counter.stem(stem) + counter.head(columns[-1])
    for index, (before, after) in enumerate(zip([stem, *columns], columns, strict=False)):
        total = total + counter.stage(index, before, after)
    return np.broadcast_to(total, stem.shape)


def _own_terms(profile: Profile, arch: Architecture) -> dict[str, float] | None:
    try:
        return dict(profile.terms(arch))
    except SpecError:
        return None


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("unit", UNITS)
def test_terms_of_many_networks_equal_each_ones_own(unit: str, profile: Profile) -> None:
    archs = networks(unit)
    own = [_own_terms(profile, arch) for arch in archs]
    names = next(terms for terms in own if terms is not None)
    sums = ArrayTerms()
    for name in names:
        counter = StageArrays(archs[0], lambda ops, name=name: array_terms(ops, profile).get(name, 0))  # type: ignore[misc]
        sums[name] = _over(archs, counter)
    with np.errstate(invalid="ignore"):
        found = completed(sums, archs[0], profile)
    assert sum(terms is not None for terms in own) > 20
    for index, terms in enumerate(own):
        if terms is None:
            assert np.isnan(sums["operators"][index])
            continue
        for name, value in terms.items():
            assert np.broadcast_to(found[name], len(archs))[index] == value, (name, archs[index].key)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("unit", UNITS)
def test_the_largest_sum_is_the_prediction(unit: str, profile: Profile) -> None:
    archs = networks(unit)
    sums = [
        _over(archs, StageArrays(archs[0], one.of_block)) + one.beside_ms for one in latency_sums(profile, archs[0])
    ]
    found = np.max(sums, axis=0)
    for arch, ms in zip(archs, found.tolist(), strict=True):
        if _own_terms(profile, arch) is not None:
            assert ms == pytest.approx(profile.predict(arch).ms, rel=1e-12)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("unit", UNITS)
def test_rising_rates_never_exceed_the_prediction_and_never_fall_with_widths(unit: str, profile: Profile) -> None:
    rates = rising_rates(profile)
    random = Random(1)
    for _ in range(60):
        groups = random.choice((1, 2, 4))
        first, second = sorted(16 * random.randrange(2, 12) for _ in range(2))
        narrow = shufflenet(groups, first, second + 32, second + 96, unit=unit, stem_channels=8)
        wide = replace(narrow, stage_channels=tuple(w + 16 * random.randrange(2) for w in narrow.stage_channels))
        low, high = (predict_ms(rates, profile.terms(arch)) for arch in (narrow, wide))
        assert low <= high * (1 + 1e-12)
        assert high <= profile.predict(wide).ms * (1 + 1e-12)
