"""Proposals on made-up trials: balanced at first, then where the front may still be lowered, and an end to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from snsearch.network.arch import Architecture
from snsearch.solver.candidates import Candidates
from snsearch.solver.design import Design
from snsearch.study.proposals import STABLE_AFTER, START, is_stable, propose, whole_errors
from snsearch.study.records import TrialRecord
from tests.studies import candidates_at, made_up_record

Truth = Callable[[Architecture], float]


@pytest.fixture
def candidates() -> Candidates:
    return candidates_at("40")


def _searched(
    candidates: Candidates, truth: Truth, count: int, seed: int = 0
) -> tuple[list[TrialRecord], list[Design]]:
    """So many trials as they are proposed one after another, and what is untried then."""
    records: list[TrialRecord] = []
    untried = list(candidates.first.values())
    for number in range(count):
        design = propose(candidates, records, untried, seed)
        untried.remove(design)  # raises where it is not there
        solution = candidates.solutions[design]
        records.append(made_up_record(number, solution, truth(solution.architecture)))
    return records, untried


def _narrow_is_worse(arch: Architecture) -> float:
    """An error that falls with the width, with some scatter that only the network decides."""
    scatter = sum(arch.stage_channels) % 7 / 1000
    return 0.5 - 0.03 * float(np.log2(arch.stage_channels[-1])) + scatter


def test_the_first_proposals_are_balanced_over_the_choices(candidates: Candidates) -> None:
    records, _ = _searched(candidates, _narrow_is_worse, START)
    for choice in ("groups", "depth", "se"):
        often = Counter(getattr(record.design, choice) for record in records)
        assert set(often) == {getattr(design, choice) for design in candidates.solutions}
        assert max(often.values()) - min(often.values()) <= 2


def test_proposals_are_untried_networks_and_the_same_for_the_same_seed(candidates: Candidates) -> None:
    records, untried = _searched(candidates, _narrow_is_worse, START + 4)
    designs = [record.design for record in records]
    assert len(set(designs)) == START + 4
    assert not set(designs) & set(untried)
    again, _ = _searched(candidates, _narrow_is_worse, START + 4)
    assert [record.design for record in again] == designs
    other, _ = _searched(candidates, _narrow_is_worse, START, seed=1)
    assert [record.design for record in other] != designs[:START]


def test_what_was_trained_before_the_proposals_counts_for_the_start(candidates: Candidates) -> None:
    published = [candidates.solutions[design] for design in candidates.published]
    records = [made_up_record(n, s, _narrow_is_worse(s.architecture)) for n, s in enumerate(published)]
    untried = [design for design in candidates.first.values() if design not in candidates.published]
    assert propose(candidates, records, untried, 0) in untried


def test_failures_do_not_bring_the_balanced_start_to_a_halt(candidates: Candidates) -> None:
    untried = list(candidates.first.values())
    records: list[TrialRecord] = []
    for number in range(2 * START):
        design = propose(candidates, records, untried, 0)
        untried.remove(design)
        records.append(made_up_record(number, candidates.solutions[design], status="failed"))
    assert len({record.design for record in records}) == 2 * START


def test_a_bad_kind_is_not_proposed_once_it_is_known(candidates: Candidates) -> None:
    def truth(arch: Architecture) -> float:
        return _narrow_is_worse(arch) + 0.3 * any(arch.se_reduction)

    records, _ = _searched(candidates, truth, START + 10)
    assert sum(record.design.se for record in records[:START]) >= 4
    assert not any(record.design.se for record in records[START:])


def test_candidates_under_way_move_the_next_choice_elsewhere(candidates: Candidates) -> None:
    moved = []
    for seed in range(5):
        records, untried = _searched(candidates, _narrow_is_worse, START, seed)
        first = propose(candidates, records, untried, seed)
        untried.remove(first)
        running = made_up_record(START, candidates.solutions[first], status="running")
        beside = propose(candidates, [*records, running], untried, seed)
        assert beside != first
        moved.append(beside != propose(candidates, records, untried, seed))
    assert any(moved)


def test_candidates_under_way_count_for_the_start(candidates: Candidates) -> None:
    solutions = [candidates.solutions[design] for design in candidates.first.values()]
    running = [made_up_record(n, s, status="running") for n, s in enumerate(solutions[: START + 3])]
    untried = list(candidates.first.values())[START + 3 :]
    assert propose(candidates, running, untried, 0) in untried, "nothing is scored, and there is nothing to fit"


def test_equal_errors_everywhere_still_give_a_proposal(candidates: Candidates) -> None:
    records, untried = _searched(candidates, lambda arch: 0.9, START + 2)
    assert propose(candidates, records, untried, 0) in untried


def test_the_last_untried_network_is_proposed(candidates: Candidates) -> None:
    every = [candidates.solutions[design] for design in candidates.first.values()]
    records = [made_up_record(n, s, _narrow_is_worse(s.architecture)) for n, s in enumerate(every[:-1])]
    assert propose(candidates, records, [every[-1].design], 0) == every[-1].design


def test_the_end_of_a_stopped_training_is_estimated_from_those_that_went_on(candidates: Candidates) -> None:
    one, two, three, four, five = [candidates.solutions[design] for design in list(candidates.first.values())[:5]]
    records = [
        made_up_record(0, one, 0.4, 0.2),
        made_up_record(1, two, 0.5, 0.3, 0.1),
        made_up_record(2, three, 0.6, status="stopped"),
        made_up_record(3, four, 0.5, 0.4, status="stopped"),
        made_up_record(4, five, 0.9, 0.8, 0.7, 0.6, status="stopped"),
    ]
    errors, variances = whole_errors(records)
    # At the first point the others ended at 1/2 and 1/5 of it: 0.35 in the median, and 0.15 around their mean.
    # At the second 1 and 1/3. Nobody has a fourth.
    assert errors == pytest.approx([0.2, 0.1, 0.6 * 0.35, 0.4 * 2 / 3, 0.6])
    assert variances == pytest.approx([0, 0, (0.6 * 0.15) ** 2, (0.4 / 3) ** 2, 0.06**2])


def test_a_training_without_error_halfway_says_nothing_of_the_others_end(candidates: Candidates) -> None:
    one, two = [candidates.solutions[design] for design in list(candidates.first.values())[:2]]
    errors, _ = whole_errors([made_up_record(0, one, 0.0, 0.1), made_up_record(1, two, 0.6, status="stopped")])
    assert errors == pytest.approx([0.1, 0.6])


EARLY = [(0.20, 1.0), (0.10, 2.0), *[(0.30, 3.0)] * (START - 2)]
BEHIND = (0.30, 3.0)


def _study(candidates: Candidates, points: Sequence[tuple[float, float]]) -> list[TrialRecord]:
    solution = candidates.solutions[candidates.published[0]]
    return [made_up_record(n, solution, error, cost=cost) for n, (error, cost) in enumerate(points)]


@pytest.mark.parametrize(
    ("late", "stable"),
    [
        (BEHIND, True),
        ((0.095, 2.0), True),  # better, but on 10,000 test images by less than the noise
        ((0.070, 2.0), False),
        ((0.15, 1.5), False),  # between two of the front
        ((0.15, 2.5), True),
        ((0.90, 0.5), False),  # cheaper than all
    ],
)
@pytest.mark.parametrize("place", [0, STABLE_AFTER - 1])
def test_a_front_is_stable_once_none_of_the_last_lowers_it(
    candidates: Candidates, late: tuple[float, float], stable: bool, place: int
) -> None:
    last = [BEHIND] * STABLE_AFTER
    last[place] = late
    records = _study(candidates, [*EARLY, *last])
    assert is_stable(records) == stable
    assert is_stable(records[::-1]) == stable, "numbers decide, not the order"


def test_what_moved_the_front_long_ago_leaves_it_stable(candidates: Candidates) -> None:
    assert is_stable(_study(candidates, [*EARLY, (0.07, 2.0), *[BEHIND] * STABLE_AFTER]))


def test_too_few_candidates_are_never_stable(candidates: Candidates) -> None:
    enough = _study(candidates, [*EARLY, *[BEHIND] * STABLE_AFTER])
    assert is_stable(enough)
    assert not is_stable(enough[:-1])
    failed = [replace(record, status="failed", proxy=None) for record in enough[-3:]]
    assert not is_stable([*enough[:-3], *failed])
    copies = [replace(record, duplicate_of=0) for record in enough[-3:]]
    assert not is_stable([*enough[:-3], *copies])


def test_a_stopped_candidate_counts_but_does_not_move_the_front(candidates: Candidates) -> None:
    records = _study(candidates, [*EARLY, *[BEHIND] * STABLE_AFTER])
    solution = candidates.solutions[candidates.published[0]]
    records[-1] = made_up_record(len(records) - 1, solution, 0.01, status="stopped", cost=0.1)
    assert is_stable(records)
