"""Means and deviations, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from snsearch.study.confidence import SeedNoise, scores_of, seed_noise
from snsearch.training.recipe import ProxyResult


def result(error: float, *, images: int = 10_000, seed: int = 0, loss: float = 1.0) -> ProxyResult:
    return ProxyResult(
        error=error,
        loss=loss,
        test_images=images,
        train_images=1,
        curve=(),
        seconds=1.0,
        seed=seed,
        device="cpu",
        threads=1,
        torch_version="2",
    )


@pytest.mark.parametrize(
    ("error", "images", "deviation"),
    # (0 + 2) / 104: sqrt(0.01923 * 0.98077 / 104); (1000 + 2) / 10004: sqrt(0.10016 * 0.89984 / 10004)
    [(0.0, 100, 0.01347), (1.0, 100, 0.01347), (0.1, 10_000, 0.003002)],
)
def test_one_training_s_deviation_is_agresti_and_coull_s(error: float, images: int, deviation: float) -> None:
    [score] = scores_of([[result(error, images=images)]])
    assert (score.error, score.seeds) == (error, 1)
    assert score.deviation == pytest.approx(deviation, rel=1e-3)


def test_seed_noise_is_pooled_over_candidates_with_several_seeds() -> None:
    # Variances 1 (of 1, 2, 3) and 8 (of 2, 6), in percent squared, with 2 and 1 degrees: (2 * 1 + 8) / 3.
    candidates = [[result(e / 100) for e in errors] for errors in ((1, 2, 3), (2, 6), (5,))]
    noise = seed_noise(candidates)
    assert noise is not None
    assert (noise.degrees, noise.candidates) == (3, 2)
    assert noise.deviation == pytest.approx((10 / 3) ** 0.5 / 100)


def test_without_a_second_seed_there_is_no_seed_noise() -> None:
    assert seed_noise([[result(0.1)], [result(0.2)]]) is None
    assert seed_noise([[result(0.1), result(0.3)], [result(0.2)]]) is None, "one pair says too little"
    assert seed_noise([]) is None


@pytest.mark.parametrize(("degrees", "student"), [(2, 4.303), (6, 2.447), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_seed_noise_is_widened_as_student_s_distribution_asks(degrees: int, student: float) -> None:
    noise = SeedNoise(deviation=0.01, degrees=degrees, candidates=1)
    assert noise.widened == pytest.approx(0.01 * student / 1.96, rel=1e-3)


def test_a_mean_of_seeds_has_a_smaller_deviation_and_all_share_the_spread() -> None:
    many, one = scores_of([[result(0.10), result(0.11), result(0.12)], [result(0.11)]])
    assert many.error == pytest.approx(0.11)
    images = 0.11 * 0.89 / 10_000
    widened = SeedNoise(deviation=0.01, degrees=2, candidates=1).widened
    assert many.deviation == pytest.approx((images + widened**2 / 3) ** 0.5, rel=1e-2)
    assert one.deviation == pytest.approx((images + widened**2) ** 0.5, rel=1e-2)


def test_losses_are_averaged() -> None:
    [score] = scores_of([[result(0.1, loss=1.0), result(0.1, loss=2.0)]])
    assert score.loss == 1.5
