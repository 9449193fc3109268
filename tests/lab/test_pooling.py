"""The surrogate: finds what follows from the choices, drops noise, and knows what an improvement is worth."""

from __future__ import annotations

import numpy as np
import pytest

from snsearch.lab.pooling import Array, design_matrix, features_of, pooled, predict
from snsearch.lab.ranking import kendall_tau
from snsearch.solver.candidates import matched_set
from tests.architectures import shufflenet
from tests.studies import candidates_at


def _matrix(count: int, seed: int = 0) -> Array:
    candidates = candidates_at("40")
    chosen = matched_set(candidates, count, seed)
    return design_matrix([candidates.solutions[design].architecture for design in chosen])


def test_features_are_logarithms_and_switches() -> None:
    plain = shufflenet(8, 384, 768, 1536)
    assert features_of(plain) == pytest.approx((3, 4, np.log2(24), 0, 1, 3, np.log2(1536), 0, 0))
    unshuffled = shufflenet(8, 384, 768, 1536, shuffle=False, se_reduction=4)
    assert features_of(unshuffled) == pytest.approx((3, 4, np.log2(24), 1, 0, 0, np.log2(1536), 0, 0))
    mixed = shufflenet((1, 2, 8), 144, 288, 576, se_reduction=(0, 0, 16))
    assert features_of(mixed) == pytest.approx((4 / 3, 4, np.log2(24), 1 / 3, 1, 4 / 3, np.log2(576), 3, 1))


def test_a_design_matrix_is_standardised_without_what_never_changes() -> None:
    archs = [shufflenet(2, 200, 400, 800), shufflenet(4, 272, 544, 1088), shufflenet(8, 384, 768, 1536)]
    matrix = design_matrix(archs)
    assert matrix.shape == (3, 3), "groups, with and without shuffle, and widths differ"
    assert matrix.mean(0) == pytest.approx(0)
    assert matrix.std(0) == pytest.approx(1)
    further = design_matrix(archs, np.array([[1.0, 7.0], [2.0, 7.0], [4.0, 7.0]]))
    assert further.shape == (3, 4)
    assert further[:, :3] == pytest.approx(matrix)
    assert design_matrix(archs[:1] * 4).shape == (4, 0)


def test_a_linear_effect_is_found_and_carried_to_what_was_not_seen() -> None:
    random = np.random.default_rng(0)
    seen, wanted = random.normal(size=(25, 4)), random.normal(size=(15, 4))
    slopes = np.array([0.05, -0.03, 0.0, 0.01])
    mean = predict(seen, 0.2 + seen @ slopes, wanted)
    truth = 0.2 + wanted @ slopes
    assert np.abs(mean - truth).max() < 0.15 * truth.std()


def test_pooled_scores_are_nearer_to_the_truth_than_the_raw_ones() -> None:
    raw_errors, errors, raw_taus, taus = [], [], [], []
    for seed in range(8):
        random = np.random.default_rng(seed)
        matrix = _matrix(20, seed)
        truth = matrix @ random.normal(size=matrix.shape[1])
        truth += 0.3 * truth.std() * random.normal(size=20)  # of each network's own
        raw = truth + 0.7 * truth.std() * random.normal(size=20)
        smooth = pooled(matrix, raw)
        raw_errors.append(np.mean((raw - truth) ** 2) / truth.var())
        errors.append(np.mean((smooth - truth) ** 2) / truth.var())
        raw_taus.append(kendall_tau(raw, truth))
        taus.append(kendall_tau(smooth, truth))
    assert np.mean(errors) < 0.75 * np.mean(raw_errors)
    assert np.mean(taus) > np.mean(raw_taus) + 0.03


def test_the_same_scores_are_pooled_to_the_same() -> None:
    matrix, scores = _matrix(12), np.random.default_rng(1).normal(size=12)
    first = pooled(matrix, scores)
    np.random.seed(99)
    assert np.array_equal(first, pooled(matrix, scores))


def test_scores_are_left_as_they_are_where_nothing_can_be_learned() -> None:
    scores = np.array([0.3, 0.1, 0.2, 0.5, 0.4, 0.6])
    assert np.array_equal(pooled(_matrix(5), scores[:5]), scores[:5]), "fewer than six"
    assert np.array_equal(pooled(np.empty((6, 0)), scores), scores), "designs that do not differ"
    assert np.array_equal(pooled(_matrix(6), np.full(6, 0.2)), np.full(6, 0.2)), "scores that do not differ"
