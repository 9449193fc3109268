"""What choices add to the error, those of single stages in open spaces among them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.network.arch import Architecture
from snsearch.pages.choices import choice_values, effects_of
from snsearch.pages.page import Report, report_data
from snsearch.pages.sections import column_of
from snsearch.pages.why import why_section
from snsearch.solver.budget import load_budget
from snsearch.solver.design import Design
from snsearch.solver.drawing import draw
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from snsearch.study.posterior import Observation
from snsearch.study.storage import read_study
from snsearch.study.thinning import MOST

SAMPLE = Path(__file__).parent.parent.parent / "tests" / "fixtures" / "finished" / "study.db"


@pytest.fixture(scope="module")
def report() -> Report:
    return report_data(read_study(f"sqlite:///{SAMPLE}"))


@pytest.fixture(scope="module")
def drawn() -> list[Architecture]:
    """Sixty networks of a space whose stages choose for themselves."""
    space, budget, rng = load_space("shufflenet-free"), load_budget("40"), random.Random(0)
    return [solve(space, budget, draw(space, rng)).architecture for _ in range(60)]


def test_stages_that_choose_for_themselves_are_choices_of_their_own(drawn: list[Architecture]) -> None:
    choices = choice_values(drawn)
    assert set(choices) == {
        *(f"{what}, stage {at}" for what in ("groups", "units", "SE") for at in (2, 3, 4)),
        "width, stage 3 / 2",
        "width, stage 4 / 3",
        "first convolution",
        "shuffle",
    }
    assert set(choices["groups, stage 3"]) == {"1", "2", "3", "4", "8"}
    assert len(set(choices["units, stage 3"])) == 3, "2 to 10 units are put together"
    for value, arch in zip(choices["width, stage 3 / 2"], drawn, strict=True):
        low, high = map(float, value.split(" to "))
        assert low - 0.01 <= arch.stage_channels[1] / arch.stage_channels[0] <= high + 0.01


def test_stages_that_go_together_are_one_choice() -> None:
    space, budget = load_space("shufflenet-v1"), load_budget("40")
    archs = [
        solve(space, budget, Design(groups=groups, depth=depth, se=se)).architecture
        for groups in (1, 3, 8)
        for depth in ("paper", "shallow")
        for se in (False, True)
    ]
    choices = choice_values(archs)
    assert set(choices) == {"groups", "units", "squeeze-and-excitation", "first convolution", "shuffle"}
    assert sorted(set(choices["units"])) == ["2-4-2", "4-8-4"]


def test_the_effect_of_a_choice_is_found_and_is_larger_than_others(drawn: list[Architecture]) -> None:
    rng = random.Random(1)
    errors = [0.3 + 0.05 * (sum(map(bool, arch.se_reduction)) / 3) + rng.gauss(0, 0.002) for arch in drawn]
    found = {
        choice.name: choice
        for choice in effects_of(
            drawn, [Observation(network=at, share=1.0, error=error) for at, error in enumerate(errors)]
        )
    }
    for at in (2, 3, 4):
        choice = found[f"SE, stage {at}"]
        assert (choice.best.value, choice.worst.value) == ("0", "16")
        assert choice.low > 0
        assert choice.points == pytest.approx(100 * 0.05 / 3, abs=0.6), "others have SE more often, too"
        assert all(choice.points > other.points for name, other in found.items() if not name.startswith("SE"))
    for choice in found.values():
        assert choice.points == pytest.approx(choice.worst.points - choice.best.points, abs=0.002)
        assert choice.low <= choice.points <= choice.high


def test_the_surrogate_looks_at_what_the_search_would_look_at(report: Report) -> None:
    [section] = why_section(report.view)
    assert "looks at" not in section.lines[0]
    rows = report.rows
    many = tuple(
        replace(rows[at % len(rows)], trial=replace(rows[at % len(rows)].trial, number=at)) for at in range(MOST + 50)
    )
    [section] = why_section(replace(report.view, rows=many, stopped=()))
    assert f"The surrogate looks at {MOST} of the {MOST + 50} networks." in section.lines[0]
    counts = [one for one in section.charts[0].spec["data"]["values"] if one["choice"] == "groups"]
    assert sum(one["networks"] for one in counts) == MOST


def test_a_distribution_of_many_ends_at_all_and_has_few_steps(report: Report) -> None:
    rows = tuple(replace(row, trial=replace(row.trial, number=at)) for at, row in enumerate(report.rows * 100))
    [section] = why_section(replace(report.view, rows=rows, stopped=()))
    [chart] = [one for one in section.charts if one.name == "edf-chart"]
    steps = chart.spec["data"]["values"]
    for group in {one["g"] for one in steps}:
        ours = [one for one in steps if one["g"] == group]
        assert len(ours) <= 60
        assert ours[-1]["share"] == 1
        assert [one["error"] for one in ours] == sorted(one["error"] for one in ours)


def test_effects_of_a_choice_cancel_over_its_networks(report: Report) -> None:
    [section] = why_section(report.view)
    effects = section.charts[0].spec["data"]["values"]
    for choice in {one["choice"] for one in effects}:
        ours = [one for one in effects if one["choice"] == choice]
        assert sum(one["networks"] * one["points"] for one in ours) == pytest.approx(0, abs=0.02)
        assert all(one["low"] < one["points"] < one["high"] for one in ours)
    assert [float(cell) for cell in column_of(section.tables[0], "range, points")] == sorted(
        (float(cell) for cell in column_of(section.tables[0], "range, points")), reverse=True
    )
