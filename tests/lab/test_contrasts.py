"""Contrasts and their noise: against Student's paired test, hand-made numbers and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from snsearch.lab.contrasts import Contrast, Noise, contrast_of, difference_of, noise_of

SAME = dict.fromkeys("ABCDEFGHI", "shufflenet")


def test_two_networks_of_a_kind_alone_make_student_s_paired_test() -> None:
    a, b = (0.31, 0.28, 0.36, 0.30), (0.27, 0.26, 0.29, 0.28)
    errors = {"A": dict(enumerate(a)), "B": dict(enumerate(b))}
    contrast = contrast_of(errors, {"A": 1, "B": -1}, SAME, noise_of(errors, SAME))
    assert contrast is not None
    paired = stats.ttest_rel(a, b)
    interval = paired.confidence_interval(0.95)
    assert contrast.estimate == pytest.approx(0.0375)
    assert contrast.noise.degrees == paired.df == 3
    assert contrast.half_width_95 == pytest.approx((interval.high - interval.low) / 2)
    assert contrast.confidence == pytest.approx(1 - paired.pvalue / 2)


def test_noise_is_what_network_and_seed_do_not_explain() -> None:
    # Networks 10, 20, 30 and seeds 0, +5, with +1 on one training: residuals of the 3 x 2 table are +-1/3 and +-1/6
    # twice, squares add up to 2/9 + 4/36 = 1/3, over (3 - 1) (2 - 1) degrees.
    errors = {"A": {0: 11.0, 1: 15.0}, "B": {0: 20.0, 1: 25.0}, "C": {0: 30.0, 1: 35.0}}
    noise = noise_of(errors, SAME)["shufflenet"]
    assert (noise.degrees, noise.variance) == (2, pytest.approx(1 / 6))


def test_weights_and_seeds_decide_a_contrasts_variance() -> None:
    errors = {name: {0: 1.0, 1: 2.0, 2: 3.0} for name in "ABC"}
    noise = {"shufflenet": Noise(variance=0.6, degrees=4)}
    contrast = contrast_of(errors, {"A": 1, "B": -2, "C": 1}, SAME, noise)
    assert contrast == Contrast(estimate=0.0, noise=Noise(variance=pytest.approx(0.6 * 6 / 3), degrees=4), seeds=3)
    assert contrast.half_width_95 == pytest.approx(2.7764 * 1.2**0.5, rel=1e-4)
    assert contrast.confidence == 0.5


def test_a_noisy_kind_leaves_the_noise_of_the_others_alone() -> None:
    errors = {"A": {0: 1.0, 1: 3.0, 2: 2.0}, "B": {0: 2.0, 1: 4.5, 2: 3.0}, "P": {0: 10.0, 1: 30.0, 2: 20.0}}
    kinds = {"A": "shufflenet", "B": "shufflenet", "P": "plain"}
    noise = noise_of(errors, kinds)
    alone = noise_of({"A": errors["A"], "B": errors["B"]}, kinds)
    assert noise["shufflenet"].variance == pytest.approx(alone["shufflenet"].variance)
    # Seeds do (A + B) / 2 - 2.58: -1.08, 1.17, -0.08; P less that has 11.083, 28.833, 20.083, of variance 78.77.
    assert (noise["plain"].degrees, noise["plain"].variance) == (2, pytest.approx(78.77, rel=1e-3))
    contrast = contrast_of(errors, {"P": 1, "A": -1}, kinds, noise)
    assert contrast is not None
    assert contrast.noise.variance == pytest.approx((noise["plain"].variance + noise["shufflenet"].variance) / 3)


def test_independent_parts_are_put_together_after_welch_and_satterthwaite() -> None:
    one = Contrast(estimate=5.0, noise=Noise(variance=1.0, degrees=2), seeds=3)
    other = Contrast(estimate=2.0, noise=Noise(variance=3.0, degrees=6), seeds=4)
    # (1 + 3)^2 / (1 / 2 + 9 / 6) = 8
    assert difference_of(one, other) == Contrast(estimate=3.0, noise=Noise(variance=4.0, degrees=8.0), seeds=3)


def test_networks_without_any_noise_leave_no_doubt() -> None:
    certain = Noise(variance=0.0, degrees=2)
    signs = [Contrast(estimate=estimate, noise=certain, seeds=2).confidence for estimate in (-1.0, 0.0, 1.0)]
    assert signs == [0.0, 0.5, 1.0]
    assert (
        difference_of(
            Contrast(estimate=1.0, noise=certain, seeds=2), Contrast(estimate=0.5, noise=certain, seeds=2)
        ).noise
        == certain
    )


def test_missing_trainings_cost_degrees_and_a_contrast_takes_the_seeds_that_are_shared() -> None:
    errors = {"A": {0: 1.0, 1: 2.0, 2: 4.0}, "B": {0: 2.0, 1: 2.5}, "C": {0: 3.0}}
    noise = noise_of(errors, SAME)
    assert noise["shufflenet"].degrees == 6 - 5  # three networks, three seeds, one constant counted twice
    contrast = contrast_of(errors, {"A": -1, "B": 1}, SAME, noise)
    assert contrast is not None
    assert (contrast.estimate, contrast.seeds) == (0.75, 2)
    assert contrast_of({**errors, "C": {}}, {"A": 1, "C": -1}, SAME, noise) is None


def test_without_a_second_seed_nothing_is_known_of_the_noise() -> None:
    errors = {"A": {0: 1.0}, "B": {0: 2.0}, "P": {0: 3.0}}
    kinds = {"A": "shufflenet", "B": "shufflenet", "P": "plain"}
    assert noise_of(errors, kinds) == {}
    assert contrast_of(errors, {"A": 1, "B": -1}, kinds, {}) is None
    assert noise_of({"A": {}, "B": {}}, kinds) == {}
    several = {"A": {0: 1.0, 1: 2.0}, "B": {0: 2.0, 1: 2.0}, "P": {0: 3.0}}
    assert set(noise_of(several, kinds)) == {"shufflenet"}
    assert contrast_of(several, {"A": 1, "P": -1}, kinds, noise_of(several, kinds)) is None


@pytest.mark.parametrize(
    ("weights", "peer_noise", "low", "high"),
    [
        ({"A": 1, "B": -1}, 5.0, 0.935, 0.965),
        ({"A": 1, "B": -1, "C": -1, "D": 1}, 5.0, 0.935, 0.965),
        ({"P": 1, "A": -1}, 1.0, 0.92, 0.98),
        ({"P": 1, "A": -1}, 5.0, 0.92, 0.945),  # the approximation's price, which the module states
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    weights: dict[str, float], peer_noise: float, low: float, high: float
) -> None:
    """Nine networks of a kind and one of another, three seeds, and seeds that move every network alike."""
    draw = np.random.default_rng(0)
    kinds = {**SAME, "P": "plain"}
    truth = {name: float(index) for index, name in enumerate(kinds)}
    expected = sum(weight * truth[name] for name, weight in weights.items())
    held = 0
    for _ in range(3000):
        seeds = draw.normal(0, 4, 3)
        errors = {
            name: dict(enumerate(truth[name] + seeds + draw.normal(0, peer_noise if name == "P" else 1, 3)))
            for name in kinds
        }
        contrast = contrast_of(errors, weights, kinds, noise_of(errors, kinds))
        assert contrast is not None
        held += abs(contrast.estimate - expected) < contrast.half_width_95
    assert low < held / 3000 < high
