"""Axes of the page's charts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.pages.charts import Axis, steps

VALUES = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=20)


@given(VALUES)
def test_an_axis_spans_its_values_with_a_readable_number_of_ticks(values: list[float]) -> None:
    axis = Axis.over(values, 50, 950)
    assert axis.low <= min(values) <= max(values) <= axis.high * (1 + 1e-9)
    assert 2 <= len(axis.ticks) <= 10
    assert len({tick.label for tick in axis.ticks}) == len(axis.ticks)
    for value in values:
        assert 50 - 0.1 <= axis.at(value) <= 950 + 0.1


@given(VALUES)
def test_values_that_are_not_negative_have_no_negative_tick(values: list[float]) -> None:
    assert Axis.over(values, 0, 100).low >= 0 or max(values) - min(values) < 1e-9


def test_percent_ticks_say_percent_and_keep_the_digits_of_their_step() -> None:
    axis = Axis.over([0.125, 0.155], 400, 0, percent=True)
    assert [tick.label for tick in axis.ticks] == [f"{value:.1f} %" for value in (12.5, 13, 13.5, 14, 14.5, 15, 15.5)]
    assert axis.at(axis.low) == 400
    assert axis.at(axis.high) == 0


@pytest.mark.parametrize(("low", "high", "labels"), [(0, 20_000, ["0", "5,000", "10,000", "15,000", "20,000"])])
def test_large_ticks_have_thousands_separators(low: float, high: float, labels: list[str]) -> None:
    assert [tick.label for tick in Axis.over([low, high], 0, 1).ticks] == labels


def test_a_front_is_drawn_level_to_the_next_point_and_out_to_the_edge() -> None:
    assert steps([(10, 50), (30, 20)], 100) == "10,50 30,50 30,20 100,20"
    assert steps([], 100) == ""
