"""Parameters of a search: a design and its values say the same, and what is drawn next to a design stays near it."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.solver.design import Design
from snsearch.solver.parameters import Parameter, draw_values, fields_of, near_values, parameters_of, values_of
from snsearch.solver.spec import load_space

FREE = load_space("shufflenet-free")
PARAMETERS = parameters_of(FREE)


def test_a_choice_per_stage_is_a_parameter_per_stage() -> None:
    each = [f"{name}_stage{stage}" for name in ("groups", "units", "se") for stage in (2, 3, 4)]
    assert [one.name for one in PARAMETERS] == [*each, "scale", "growth_stage3", "growth_stage4", "shuffle"]
    named = {one.name: one for one in PARAMETERS}
    assert named["groups_stage3"].options == (1, 2, 3, 4, 8)
    assert (named["units_stage3"].least, named["units_stage3"].most, named["units_stage3"].whole) == (2, 10, True)
    assert (named["growth_stage4"].least, named["growth_stage4"].most) == (1.2, 2.8)


def test_a_listed_space_keeps_the_parameters_of_earlier_studies() -> None:
    space = load_space("shufflenet-v1")
    assert [one.name for one in parameters_of(space)] == ["groups", "depth", "se", "scale"]
    assert parameters_of(space, search_shuffle=True)[-1] == Parameter(name="shuffle", options=(True, False))
    with pytest.raises(SpecError, match="no switch for shuffle"):
        parameters_of(load_space("resnet"), search_shuffle=True)


@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_a_design_of_drawn_values_has_these_values(name: str) -> None:
    space, rng = load_space(name), Random(0)
    parameters = parameters_of(space)
    for _ in range(200):
        values = draw_values(parameters, rng)
        found = values_of(space, parameters, Design(**fields_of(values)))
        assert found == {key: pytest.approx(value) for key, value in values.items()}


def test_the_published_design_has_values_too() -> None:
    values = values_of(FREE, PARAMETERS, Design(groups=3, scale=0.5, depth="paper"))
    assert values == {
        **{f"groups_stage{stage}": 3 for stage in (2, 3, 4)},
        **{"units_stage2": 4, "units_stage3": 8, "units_stage4": 4},
        **{f"se_stage{stage}": False for stage in (2, 3, 4)},
        **{"scale": 0.5, "growth_stage3": 2.0, "growth_stage4": 2.0, "shuffle": True},
    }
    fields = fields_of(values)
    assert fields == {
        "groups": 3,
        "depth": "4-8-4",
        "se": False,
        "scale": 0.5,
        "ratios": (1.0, 2.0, 4.0),
        "shuffle": True,
    }


def test_a_parameter_is_widened_to_hold_a_value() -> None:
    ranged = Parameter(name="scale", least=0.5, most=1.0)
    assert ranged.widened(2.0) == replace(ranged, most=2.0)
    assert ranged.widened(0.7) == ranged
    listed = Parameter(name="se", options=(True,))
    assert listed.widened(False).options == (True, False)


def test_neighbours_differ_in_one_parameter_or_two_and_keep_within_the_ranges() -> None:
    rng = Random(1)
    changes = []
    for _ in range(500):
        values = draw_values(PARAMETERS, rng)
        near = near_values(PARAMETERS, values, rng)
        changed = [name for name in values if values[name] != near[name]]
        changes.append(len(changed))
        assert len([name for name in changed if name != "shuffle"]) <= 2
        for one in PARAMETERS:
            if one.options:
                assert near[one.name] in one.options
            else:
                assert one.least <= near[one.name] <= one.most
            if one.whole:
                assert abs(near[one.name] - values[one.name]) <= 1
    assert 1 < sum(changes) / len(changes) < 2


def test_growth_changes_by_small_factors() -> None:
    growth, rng = Parameter(name="growth_stage3", least=1.0, most=math.e), Random(2)
    steps = [math.log(growth.near(1.6, rng) / 1.6) for _ in range(2000)]
    assert math.sqrt(sum(step**2 for step in steps) / len(steps)) == pytest.approx(0.25, abs=0.03)


def test_values_of_a_stranger_are_handed_on_as_they_are() -> None:
    assert fields_of({"growth_stage3": "wide", "groups_stage2": None}) == {"ratios": ["wide"], "groups": None}


def test_without_several_groups_the_shuffle_is_not_drawn() -> None:
    rng = Random(3)
    narrow = [replace(one, options=(1,)) if one.name.startswith("groups") else one for one in PARAMETERS]
    assert {draw_values(narrow, rng)["shuffle"] for _ in range(50)} == {True}
    assert {near_values(narrow, draw_values(narrow, rng), rng)["shuffle"] for _ in range(200)} == {True}
