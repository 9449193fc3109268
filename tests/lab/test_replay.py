"""The replayed searches: the shipped table is whole, and shares of hypervolume are what they are by hand."""

from __future__ import annotations

import pytest

from benchmarks.replay import BUDGET, TABLE, Step, Table, _share_at, _summary
from snsearch.lab.trainings import read_log
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import candidates_of, deployed_on
from snsearch.solver.spec import load_space
from snsearch.study.objective import OBJECTIVES
from snsearch.training.proxy import default_recipe


@pytest.fixture(scope="module")
def table() -> Table:
    budget = deployed_on(load_budget(BUDGET), 1, 10)
    found = candidates_of(
        load_space("shufflenet-v1"), budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of
    )
    return Table(TABLE, found)


def test_the_shipped_table_holds_both_seeds_of_every_candidate_by_the_default_recipe(table: Table) -> None:
    curves = read_log(TABLE)
    assert len(table.curves) == 98
    assert len(curves) == 2 * 98
    recipe = default_recipe(60_000)
    whole = recipe.images // recipe.batch_size * recipe.batch_size
    assert {tuple(point.images_seen for point in curve) for curve in curves.values()} == {(whole // 2, whole)}


def test_the_hypervolume_is_the_area_under_the_staircase(table: Table) -> None:
    table.corner = (0.5, 10.0)
    # 2 wide and 0.2 high, then 4 wide and 0.3 high; the third is beaten by the second.
    assert table._hypervolume([(0.3, 4.0), (0.2, 6.0), (0.25, 7.0)]) == pytest.approx(2 * 0.2 + 4 * 0.3)
    assert table._hypervolume([]) == 0


def test_a_bar_is_reached_at_the_first_step_that_has_it_and_maybe_never() -> None:
    one = [Step(1.0, 0.2, 0.2), Step(1.5, 0.6, 0.6), Step(2.5, 0.5, 0.7)]
    other = [Step(1.0, 0.1, 0.1)]
    assert [_share_at(one, spent, lambda step: step.front) for spent in (0.5, 1.0, 2.0, 9.0)] == [0.0, 0.2, 0.6, 0.5]
    summary = _summary([one, one, other], {4: 0.55}, lambda step: step.front)
    assert summary["trainings_to_bar_4"] == [1.5, 1.5, float("inf")]
    assert summary["within_half_of_4"] == 2
