"""What a search tries next, and when to stop: decisions on records, without training.

Costs are known before training, so only the error is uncertain. A surrogate fitted to all candidates so far predicts
by how much an untried one would improve the front.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from snsearch.intervals import Z95
from snsearch.solver import Candidates, Design, matched_set
from snsearch.study.confidence import scores_of
from snsearch.study.pareto import front
from snsearch.study.records import TrialRecord, explored, trained
from snsearch.study.surrogate import Array, design_matrix, expected_improvement, long_run_ranks, predict

START = 10  # candidates, balanced over the choices, before the surrogate is used
STABLE_AFTER = 8  # the front is stable when this many candidates in a row have not improved it


def propose(candidates: Candidates, records: Sequence[TrialRecord], untried: Sequence[Design], seed: int) -> Design:
    """The untried design to train next: balanced at first, then the one with the largest expected gain of the front.

    Candidates in training count with the error that the surrogate predicts, so that several workers propose
    different designs.
    """
    tried = explored(records)
    under_way = [record for record in records if record.status == "running" and record.design in candidates.solutions]
    known = len(tried) + len(under_way)
    if known < START or len(trained(records)) < 2:
        left = set(untried)
        balanced = matched_set(candidates, known + len(candidates.published) + 1, seed)
        return next((design for design in balanced if design in left), untried[0])
    designs = [*(record.design for record in tried), *(record.design for record in under_way), *untried]
    solutions = [candidates.solutions[design] for design in designs]
    matrix = design_matrix([solution.architecture for solution in solutions])
    costs = np.array([candidates.cost[design] for design in designs])
    errors, noise = whole_errors(tried)
    means, deviations = predict(matrix[: len(tried)], errors, matrix, noise)
    front_so_far = [(float(means[i]), float(costs[i])) for i in range(known)]
    dearest = max(candidates.cost.values())
    corner = (float(errors.max()), dearest * 1.01)
    gains = expected_improvement(means[known:], deviations[known:], costs[known:], front_so_far, corner)
    order = list(range(len(untried)))
    random.Random(seed + known).shuffle(order)  # break ties at random, not by the order of the space
    return untried[max(order, key=lambda index: gains[index])]


def expected_order(done: Sequence[TrialRecord]) -> list[float]:
    """Predicted ranks of trained candidates after long training, from the first seed's errors; lowest is best."""
    archs = [record.architecture for record in done if record.architecture is not None]
    errors = np.array([record.proxy.error for record in done if record.proxy is not None])
    params = [record.costs.params for record in done if record.costs is not None]
    return [float(place) for place in long_run_ranks(archs, errors, params)] if len(done) else []


def whole_errors(tried: Sequence[TrialRecord]) -> tuple[Array, Array]:
    """(N,) errors at the end of training, and (N,) variances of their estimates.

    For a candidate that was stopped early, the last error is scaled by the median ratio of final to partial error
    over completed candidates.
    """
    whole = [record for record in tried if record.status == "complete" and record.proxy is not None]
    errors, variances = [], []
    for record in tried:
        assert record.proxy is not None
        error = record.proxy.error
        if record.status == "complete":
            errors.append(error)
            variances.append(0.0)
            continue
        at = len(record.curve) - 1
        ratios = [
            other.proxy.error / other.curve[at].test_error
            for other in whole
            if other.proxy is not None and len(other.curve) > at and other.curve[at].test_error > 0
        ]
        ratio = float(np.median(ratios)) if ratios else 1.0
        errors.append(error * ratio)
        variances.append((error * float(np.std(ratios))) ** 2 if len(ratios) > 1 else (error * 0.1) ** 2)
    return np.array(errors), np.array(variances)


def is_stable(records: Sequence[TrialRecord]) -> bool:
    """Whether none of the last candidates improves the earlier front by more than the noise.

    Duplicates and failures do not count.
    """
    tried = sorted(explored(records), key=lambda record: record.number)
    if len(tried) < START + STABLE_AFTER:
        return False
    done = [record for record in tried if record.status == "complete"]
    late = {record.number for record in tried[-STABLE_AFTER:]}
    scores = scores_of([record.results for record in done])
    earlier = [i for i, record in enumerate(done) if record.number not in late]
    points = [(score.error, record.cost or 0.0) for score, record in zip(scores, done, strict=True)]
    best = [earlier[i] for i in front([points[i] for i in earlier])]

    def moves(index: int) -> bool:
        """Whether a late candidate beats every earlier point of the front that costs no more."""
        error, cost = points[index]
        rivals = [i for i in best if points[i][1] <= cost]
        margin = max((Z95 * np.hypot(scores[i].deviation, scores[index].deviation) for i in rivals), default=0.0)
        return not rivals or error < min(points[i][0] for i in rivals) - margin

    return not any(moves(i) for i, record in enumerate(done) if record.number in late)
