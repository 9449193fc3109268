"""Rank correlations against SciPy's, and what noise leaves of them against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from snsearch.lab import ranking
from snsearch.lab.ranking import agreement, kendall_tau, noise_ceiling, regret, spearman


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bootstraps than users get."""
    monkeypatch.setattr(ranking, "BOOTSTRAPS", 300)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("levels", [3, 8, 1000])
def test_rank_correlations_with_ties_are_scipys(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(levels, size=(2, 5 + seed)).astype(np.float64)
    first[:2], second[:2] = (0, levels), (levels, 0)  # never constant
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_a_constant_score_ranks_nothing() -> None:
    constant, rising = np.ones(5), np.arange(5.0)
    assert kendall_tau(constant, rising) == kendall_tau(rising, constant) == 0
    assert spearman(constant, rising) == spearman(rising, constant) == 0


def test_regret_is_what_the_choice_costs() -> None:
    reference = np.array([0.10, 0.12, 0.15, 0.11])
    proxy = np.array([4.0, 2.0, 1.0, 3.0])  # chooses 0.15, then 0.12, then 0.11
    assert [regret(proxy, reference, k) for k in (1, 2, 3, 4)] == pytest.approx([0.05, 0.02, 0.01, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_a_weight_is_so_many_equal_candidates(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(6, size=(2, 9)).astype(np.float64)
    weights = random.integers(0, 4, size=9)
    weighted = ranking._tau(ranking.signs(first), ranking.signs(second), weights[None].astype(np.float64))[0]
    repeated = stats.kendalltau(np.repeat(first, weights), np.repeat(second, weights)).statistic
    assert weighted == pytest.approx(repeated)


@pytest.mark.usefixtures("quick")
def test_a_proxy_that_is_the_reference_agrees_wholly() -> None:
    scores = np.random.default_rng(0).normal(size=(1, 12))
    found = agreement(scores, scores)
    assert found.kendall_tau == pytest.approx(1)
    assert found.spearman == pytest.approx(1)
    assert found.interval == found.spearman_interval == pytest.approx((1, 1))
    assert found.regret_top1 == found.regret_top3 == 0
    against = agreement(-scores, scores)
    assert against.kendall_tau == pytest.approx(-1)
    assert against.regret_top1 == pytest.approx(np.ptp(scores))


@pytest.mark.usefixtures("quick")
def test_figures_are_means_over_the_proxys_seeds_and_the_same_every_time() -> None:
    random = np.random.default_rng(1)
    proxy, reference = random.normal(size=(2, 10)), random.normal(size=(3, 10))
    found = agreement(proxy, reference)
    mean = reference.mean(0)
    assert found.kendall_tau == pytest.approx(np.mean([stats.kendalltau(row, mean).statistic for row in proxy]))
    assert found.spearman == pytest.approx(np.mean([stats.spearmanr(row, mean).statistic for row in proxy]))
    assert found.regret_top3 == pytest.approx(np.mean([regret(row, mean, 3) for row in proxy]))
    assert agreement(proxy, reference) == found
    assert agreement(proxy, reference, seed=1).interval != found.interval


@pytest.mark.usefixtures("quick")
def test_intervals_hold_the_estimate_and_get_narrower_with_more_candidates() -> None:
    random = np.random.default_rng(2)
    widths = []
    for count in (8, 32, 128):
        truth = random.normal(size=count)
        found = agreement(truth + random.normal(0, 0.7, (2, count)), truth + random.normal(0, 0.1, (2, count)))
        low, high = found.interval
        assert low < found.kendall_tau < high
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    assert widths[1] > 1.5 * widths[2]


def test_the_interval_covers_the_true_correlation_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BOOTSTRAPS", 120)
    random = np.random.default_rng(3)
    share = 0.8
    true_tau = 2 / math.pi * math.asin(share)
    covered = 0
    for _ in range(40):
        truth = random.normal(size=20)
        proxy = share * truth + math.sqrt(1 - share**2) * random.normal(size=20)
        low, high = agreement(proxy[None], truth[None]).interval
        covered += low <= true_tau <= high
    assert covered >= 34


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_the_ceiling_is_that_of_normal_scores_of_the_same_reliability(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two normal variables with correlation r, tau is 2/pi * asin(r) (Kruskal 1958).
    monkeypatch.setattr(ranking, "BOOTSTRAPS", 20)
    random = np.random.default_rng(4)
    seeds, count = 4, 100
    found = [noise_ceiling(random.normal(size=count) + random.normal(0, noise, (seeds, count))) for _ in range(10)]
    of_mean, of_one = 1 / (1 + noise**2 / seeds), 1 / (1 + noise**2)
    assert np.mean([one.mean for one in found]) == pytest.approx(2 / math.pi * math.asin(of_mean), abs=0.02)
    assert np.mean([one.one_seed for one in found]) == pytest.approx(2 / math.pi * math.asin(of_one), abs=0.02)
    assert np.mean([one.seed_deviation for one in found]) == pytest.approx(noise, rel=0.03)
    assert np.mean([one.spread for one in found]) == pytest.approx(1, rel=0.05)


@pytest.mark.usefixtures("quick")
def test_without_noise_the_ceiling_is_one_and_of_noise_alone_about_zero() -> None:
    random = np.random.default_rng(5)
    certain = noise_ceiling(np.tile(random.normal(size=15), (3, 1)))
    assert certain.mean == certain.one_seed == pytest.approx(1)
    assert certain.seed_deviation == pytest.approx(0)
    of_noise = [noise_ceiling(random.normal(size=(3, 20))) for _ in range(12)]
    assert abs(np.mean([found.one_seed for found in of_noise])) < 0.1
    assert 0 <= np.mean([found.mean for found in of_noise]) < 0.2
    assert np.median([found.mean for found in of_noise]) < 0.15


@pytest.mark.usefixtures("quick")
def test_equal_candidates_have_a_ceiling_of_zero() -> None:
    assert noise_ceiling(np.full((2, 8), 0.1)).mean == 0


def test_one_seed_has_no_ceiling() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        noise_ceiling(np.ones((1, 8)))
