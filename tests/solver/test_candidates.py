"""Candidates: matched sets have every option equally often, and every design has its own name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.files import bundled_names
from snsearch.network.costs import count_costs
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import POOL, Candidates, candidates_of, deployed_on, digest_of, matched_set
from snsearch.solver.design import Design, label_of
from snsearch.solver.source import MATCH_LIMIT
from snsearch.solver.spec import load_space
from snsearch.study.objective import OBJECTIVES, mac_and_bytes_cost
from tests.studies import FOUR_NETWORKS, candidates_at


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [10, 20, 40])
def test_a_matched_set_shows_every_choice_about_equally_often(seed: int, count: int) -> None:
    drawn = matched_set(candidates_at("40"), count, seed)
    assert len(drawn) == len(set(drawn)) == count
    for choice in ("groups", "depth", "se", "scale"):
        often = Counter(getattr(design, choice) for design in drawn)
        every = {getattr(design, choice) for design in candidates_at("40").solutions}
        assert set(often) == every
        assert max(often.values()) - min(often.values()) <= 2
    pairs = Counter((design.groups, design.se) for design in drawn)
    assert len(pairs) == 10
    assert max(pairs.values()) - min(pairs.values()) <= 2


def test_a_larger_matched_set_goes_on_from_a_smaller_one() -> None:
    whole = matched_set(candidates_at("40"), 30, seed=5)
    assert [matched_set(candidates_at("40"), count, seed=5) for count in (0, 1, 8, 29)] == [
        whole[:count] for count in (0, 1, 8, 29)
    ]


def test_another_seed_draws_another_matched_set() -> None:
    assert set(matched_set(candidates_at("40"), 10, seed=0)) != set(matched_set(candidates_at("40"), 10, seed=1))


def test_a_matched_set_holds_every_network_once_and_ends_with_them() -> None:
    candidates = candidates_at("40")
    drawn = matched_set(candidates, 10_000)
    keys = [candidates.solutions[design].architecture.key for design in drawn]
    assert len(keys) == len(set(keys)) == candidates.count


@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_no_two_designs_of_a_space_have_one_label(name: str) -> None:
    space = load_space(name)
    shuffles = (None, True, False) if "shuffle" in space.options else (None,)
    designs = [
        Design(groups=groups, depth=depth, se=se, scale=scale, shuffle=shuffle)
        for groups, depth, se, scale, shuffle in product(
            space.search_groups, space.search_depths, space.search_se, space.search_scales or (None,), shuffles
        )
        if shuffle is not None or len(shuffles) == 1  # a search has the switch or does not
    ]
    labels = [label_of(design) for design in designs]
    assert len(labels) == len(set(labels))


def test_a_label_names_what_is_chosen() -> None:
    assert (
        label_of(Design(groups=3, scale=0.5, depth="shallow", se=True, shuffle=False))
        == "g3 0.5x shallow se no-shuffle"
    )
    assert label_of(Design(groups=1)) == "g1"


def test_a_budget_is_deployed_on_the_datas_channels_and_classes() -> None:
    budget = load_budget("40")
    assert deployed_on(budget, 1, 7) == replace(budget, input_channels=1, classes=7)


def test_a_spaces_digest_changes_with_its_content() -> None:
    space = load_space("shufflenet-v1")
    assert digest_of(space) == digest_of(load_space("shufflenet-v1"))
    assert digest_of(replace(space, search_se=(False,))) != digest_of(space)
    assert digest_of(load_space("resnet")) != digest_of(space)


def test_candidates_meet_40_mflops_within_a_thousandth_or_say_how_near_they_came() -> None:
    found = candidates_of(
        load_space("shufflenet-v1"),
        load_budget("40"),
        tight=True,
        search_shuffle=False,
        cost=OBJECTIVES["counted"].of,
    )
    assert len(found.solutions) + len(found.left_out) == 5 * 3 * 4 * 2
    assert all("cannot be met" in reason for reason in found.left_out.values())
    assert len(found.solutions) > 100
    keys = {solution.architecture.key for solution in found.solutions.values()}
    assert len(found.first) == len(keys)
    for solution in found.solutions.values():
        distance = abs(solution.costs.macs / 40e6 - 1)
        assert distance <= 0.001 or any(f"no widths come nearer than {distance:.3%}" in n for n in solution.notes)
        assert distance <= MATCH_LIMIT
        assert count_costs(solution.architecture) == solution.costs
    matched = [s for s in found.solutions.values() if abs(s.costs.macs / 40e6 - 1) <= 0.001]
    assert len(matched) >= 0.9 * len(found.solutions)


def test_designs_too_far_from_the_budget_are_left_out_with_the_reason() -> None:
    found = candidates_at("13")
    assert found.left_out
    assert all(abs(s.deviation or 0) <= MATCH_LIMIT for s in found.solutions.values())
    assert any("comes no nearer than" in reason for reason in found.left_out.values())


def test_caps_alone_make_candidates_that_respect_them() -> None:
    budget = load_budget("stm32f746")
    found = candidates_of(
        load_space("mobilenet-v1"), budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of
    )
    for solution in found.solutions.values():
        assert solution.costs.weight_bytes <= (budget.weight_bytes or 0)
        assert solution.costs.peak_activation_bytes <= (budget.peak_activation_bytes or 0)


def test_a_budget_that_no_design_meets_is_infeasible() -> None:
    with pytest.raises(InfeasibleBudgetError, match="no design of shufflenet-v1"):
        candidates_of(
            load_space("shufflenet-v1"),
            load_budget("0.01"),
            tight=True,
            search_shuffle=False,
            cost=OBJECTIVES["counted"].of,
        )


def test_shuffle_is_searched_where_asked_and_possible() -> None:
    with_it = candidates_of(
        load_space("shufflenet-v1"), load_budget("40"), tight=True, search_shuffle=True, cost=OBJECTIVES["counted"].of
    )
    assert {design.shuffle for design in with_it.solutions} == {True, False}
    with pytest.raises(SpecError, match="no switch for shuffle"):
        candidates_of(
            load_space("resnet"), load_budget("40"), tight=True, search_shuffle=True, cost=OBJECTIVES["counted"].of
        )


def test_the_published_designs_are_the_default_depth_of_every_group_count_at_the_fitting_scale() -> None:
    found = candidates_of(
        load_space("shufflenet-v1"),
        load_budget("140"),
        tight=True,
        search_shuffle=False,
        cost=OBJECTIVES["counted"].of,
    )
    assert [(d.groups, d.scale, d.depth, d.se) for d in found.published] == [
        (g, 1.0, "paper", False) for g in (1, 2, 3, 4, 8)
    ]


def test_the_cost_is_the_counted_macs_and_bytes() -> None:
    solution = next(
        iter(
            candidates_of(
                load_space("resnet"),
                load_budget("40"),
                tight=True,
                search_shuffle=False,
                cost=OBJECTIVES["counted"].of,
            ).solutions.values()
        )
    )
    assert mac_and_bytes_cost(solution.costs) == (solution.costs.macs + solution.costs.bytes_moved) / 1e6


# Spaces that are drawn.


@cache
def drawn_at(mflops: str, seed: int = 0, **changes: Any) -> Candidates:
    return candidates_of(
        replace(load_space("shufflenet-free"), **changes),
        load_budget(mflops),
        tight=True,
        search_shuffle=False,
        cost=OBJECTIVES["counted"].of,
        seed=seed,
    )


def test_an_open_space_gives_its_published_designs_and_a_pool_that_meets_the_budget() -> None:
    found = drawn_at("40")
    assert [(one.groups, one.depth, one.se, one.ratios) for one in found.published] == [
        (g, "paper", False, None) for g in (1, 2, 3, 4, 8)
    ]
    assert [one.solution.design for one in found.networks[:5]] == list(found.published)
    assert POOL < found.count <= POOL + 5
    for one in found.networks:
        distance = abs(one.solution.deviation or 0)
        assert distance <= 0.001 or any("no widths come nearer" in note for note in one.solution.notes)
        assert distance <= MATCH_LIMIT
    assert len({one.key for one in found.networks}) == found.count
    assert {len(set(one.solution.architecture.groups)) for one in found.networks} == {1, 2, 3}
    for one in found.networks[5:25]:
        assert found.source.solved(one.values) == one, "a network follows from its parameters"


def test_a_pool_follows_from_its_seed() -> None:
    drawn_at.cache_clear()
    first = drawn_at("40")
    drawn_at.cache_clear()
    assert drawn_at("40").values == first.values
    assert len({*drawn_at("40", 1).first} & {*drawn_at("40").first}) < 20


def test_parameters_reach_to_a_published_design_beyond_the_ranges_but_nothing_else_is_drawn_there() -> None:
    found = drawn_at("524")
    scale = next(one for one in found.parameters if one.name == "scale")
    assert (scale.least, scale.most) == (0.333, 2.0)
    assert {one.scale for one in found.published} == {2.0}
    assert max(one.solution.scale for one in found.networks[5:]) <= 1.5


def test_a_pool_keeps_all_bounds() -> None:
    budget = replace(load_budget("40"), params=900_000, peak_activation_bytes=2_000_000)
    heard: list[tuple[int, int]] = []
    found = candidates_of(
        load_space("shufflenet-free"),
        budget,
        tight=True,
        search_shuffle=False,
        cost=OBJECTIVES["counted"].of,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(done, POOL) for done in range(1, POOL + 1)]
    assert found.count > 200
    for one in found.networks:
        assert one.solution.costs.params <= 900_000
        assert one.solution.costs.peak_activation_bytes <= 2_000_000


def test_a_small_open_space_gives_all_that_it_has() -> None:
    found = drawn_at("40", **FOUR_NETWORKS)
    assert found.count == 4  # two group counts, with and without SE


def test_a_list_of_too_many_designs_is_drawn() -> None:
    space = replace(load_space("shufflenet-v1"), search_scales=tuple(0.5 + 0.05 * step for step in range(26)))
    found = candidates_of(space, load_budget("40"), tight=False, search_shuffle=False, cost=OBJECTIVES["counted"].of)
    assert found.source.is_drawn
    assert found.count <= POOL + 5
    assert [one.name for one in found.parameters] == ["groups", "depth", "se", "scale"]


def test_no_drawn_design_meets_an_impossible_budget() -> None:
    with pytest.raises(InfeasibleBudgetError, match="no design of shufflenet-free meets"):
        drawn_at("0.01")


def test_half_of_what_is_drawn_later_lies_next_to_given_designs() -> None:
    found = drawn_at("40")
    center = found.networks[20].values
    drawn = list(found.source.drawn("later", 40, [center]))
    differing = [sum(one.values[name] != center[name] for name in center) for one in drawn]
    assert sum(count <= 3 for count in differing) >= 20
    assert sum(count > 3 for count in differing) >= 10
