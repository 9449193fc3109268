"""Quantities: what is read, what is refused, and how they are printed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.errors import SpecError
from snsearch.units import (
    format_budget,
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_mflops,
    format_resolution,
    parse_bytes,
    parse_count,
    parse_duration,
    parse_resolution,
    plain_resolution,
    three_digits,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("140M", 140_000_000),
        ("1.9M", 1_900_000),
        (" 340 k ", 340_000),
        ("2g", 2_000_000_000),
        ("524000", 524_000),
        ("1e3", 1000),
        (".5k", 500),
        (7, 7),
        (2e6, 2_000_000),
        (0.2, 1),  # a count is at least one
    ],
)
def test_counts_are_read_with_decimal_suffixes(text: str | float, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("320KiB", 320 * 1024),
        ("1MiB", 1024**2),
        ("0.5GiB", 1024**3 // 2),
        ("250kB", 250_000),
        ("1mb", 10**6),
        ("2GB", 2 * 10**9),
        ("96 B", 96),
        (262144, 262144),
    ],
)
def test_sizes_are_binary_with_an_i_and_decimal_without(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("20min", 1200.0), ("20m", 1200.0), ("1.5h", 5400.0), (3, 3.0)]
)
def test_durations_are_read_in_seconds(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "resolution"),
    [
        ("224", (224, 224)),
        (224, (224, 224)),
        ("480x640", (480, 640)),
        (" 480 X 640 ", (480, 640)),
        ("480×640", (480, 640)),
        ("1", (1, 1)),
        ("4096", (4096, 4096)),
    ],
)
def test_resolutions_are_height_by_width(text: str | int, resolution: tuple[int, int]) -> None:
    assert parse_resolution(text) == resolution


@pytest.mark.parametrize("parse", [parse_count, parse_bytes, parse_duration])
@pytest.mark.parametrize(
    "text",
    ["", "abc", "1.2.3", "-5", "0", "0.0", "nan", "inf", "1e400", "5 parsecs", "1,000", True, None, [1], -1, 0],
)
def test_what_is_not_a_positive_quantity_is_refused(parse: Callable[[Any], float], text: object) -> None:
    with pytest.raises(SpecError, match="expected"):
        parse(text)


def test_units_of_another_quantity_are_refused() -> None:
    for parse, text in ((parse_count, "3KiB"), (parse_bytes, "3h"), (parse_duration, "3MiB")):
        with pytest.raises(SpecError, match=f"'{text}' is not a quantity"):
            parse(text)


@pytest.mark.parametrize(
    "text", ["", "0", "4097", "224x", "x224", "224x0", "-224", "224.0", "1x2x3", "99999", True, None, [224, 224]]
)
def test_resolutions_outside_one_to_4096_are_refused(text: Any) -> None:
    with pytest.raises(SpecError, match="expected pixels such as 224"):
        parse_resolution(text)


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_a_resolution_is_read_back_from_text_and_from_json(height: int, width: int) -> None:
    assert parse_resolution(format_resolution((height, width))) == (height, width)
    assert parse_resolution(plain_resolution((height, width))) == (height, width)


def test_a_square_resolution_is_a_number_in_json() -> None:
    assert plain_resolution((224, 224)) == 224
    assert plain_resolution((480, 640)) == "480x640"


@given(st.integers(1, 10**12))
def test_a_whole_count_is_read_exactly(count: int) -> None:
    assert parse_count(count) == parse_count(str(count)) == parse_bytes(f"{count} B") == count


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (950, "950"),
        (340_000, "340.0 k"),
        (12_340, "12.34 k"),
        (1_866_000, "1.87 M"),
        (569_000_000, "569.0 M"),
        (1.25e9, "1.25 G"),
    ],
)
def test_counts_are_printed_with_a_suffix(value: float, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize("value", [9_999, 99_999, 999_949, 999_999, 9_999_999, 99_999_999, 999_999_999])
def test_counts_just_below_a_suffix_keep_to_four_digits(value: int) -> None:
    text = format_count(value)
    assert sum(character.isdigit() for character in text) <= 4, text


@given(st.integers(1, 9 * 10**11))
def test_a_printed_count_is_near_to_the_count(value: int) -> None:
    assert math.isclose(parse_count(format_count(value)), value, rel_tol=0.005)


def test_mflops_are_printed_with_two_digits() -> None:
    assert format_mflops(137_460_672) == "137.46"
    assert format_mflops(1_998_930_000) == "1,998.93"
    assert format_budget(137_460_672) == "137.46"
    assert [format_budget(macs) for macs in (1000, 99_949, 99_950, 100_000)] == ["0.001", "0.0999", "0.10", "0.10"]


@pytest.mark.parametrize(
    ("size", "text"), [(96, "96 B"), (1024, "1.0 KiB"), (327_680, "320.0 KiB"), (2_506_752, "2.39 MiB")]
)
def test_sizes_are_printed_in_binary_units(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_a_size_just_below_a_unit_moves_to_the_unit() -> None:
    assert format_bytes(1024**2 - 1) == "1.00 MiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (48.2, "48 s"),
        (59.7, "1 min 00 s"),
        (725, "12 min 05 s"),
        (3599.8, "1 h 00 min"),
        (11_220, "3 h 07 min"),
    ],
)
def test_durations_are_printed_as_a_person_says_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_figures_have_one_decimal_or_three_digits_where_they_are_small() -> None:
    assert [three_digits(value) for value in (1234.56, 38.44, 10, 9.996, 6.97, 0.09462)] == [
        *("1234.6", "38.4", "10.0", "10.0", "6.97", "0.0946")
    ]


def test_an_interval_is_plus_minus_its_half_only_where_it_is_not_clipped() -> None:
    assert format_interval(0.3, (0.288, 0.312), ".1%") == "± 1.2%"
    assert format_interval(0.125, (0.0, 0.294), ".1%") == "[0.0%, 29.4%]"
    assert format_interval(99.0, (97.5, 100.0), ".2f") == "[97.50, 100.00]"
