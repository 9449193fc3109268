"""The cost of group counts at equal MACs, from candidates that differ in nothing else."""

from __future__ import annotations

from dataclasses import replace

from snsearch.pages.facts import costs_by_groups, groups_words
from snsearch.solver.design import Design
from snsearch.study.records import TrialRecord
from tests.studies import candidates_at, made_up_record


def trial(number: int, cost: float, groups: int, *, depth: str = "paper", se: bool = False) -> TrialRecord:
    solutions = candidates_at("140").solutions
    design = Design(groups=groups, depth=depth, se=se, scale=1.0)
    return made_up_record(number, solutions[design], 0.2, cost=cost)


def test_only_candidates_that_are_alike_are_compared() -> None:
    trials = [
        trial(0, 9.0, 8),
        trial(1, 5.0, 1, depth="shallow"),
        trial(2, 6.0, 1),
        trial(3, 7.5, 3),
        trial(4, 20.0, 2, se=True),
        trial(5, 21.0, 3, se=True),
    ]
    assert costs_by_groups(trials) == ((1, 6.0), (3, 7.5), (8, 9.0))
    words = groups_words(trials, "ms (a board, predicted)")
    assert words is not None
    assert "g=1 6, g=3 7.5, g=8 9. From g=1 to g=8 that is +50%" in words
    assert "arXiv:1707.01083" in words


def test_networks_of_mixed_groups_are_no_part_of_the_comparison() -> None:
    mixed = trial(2, 1.0, 1)
    assert mixed.architecture is not None
    mixed = replace(mixed, architecture=replace(mixed.architecture, groups=(1, 1, 2)))
    assert costs_by_groups([trial(0, 9.0, 8), mixed, trial(3, 7.5, 3)]) == ((3, 7.5), (8, 9.0))


def test_where_no_two_are_alike_nothing_is_said() -> None:
    trials = [trial(0, 9.0, 8), trial(1, 5.0, 1, depth="shallow")]
    assert costs_by_groups(trials) == ()
    assert groups_words(trials, "ms") is None
    assert groups_words([], "ms") is None
