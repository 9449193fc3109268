"""Wrapping text to a terminal's width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.prose import padded, printable, runs_of, width_of, wrap

KEY = "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("one line", 10, ["one line"]),
        ("two short lines", 9, ["two short", "lines"]),
        ("kept\nbreaks", 80, ["kept", "breaks"]),
        ("  spaces   fall ", 80, ["spaces fall"]),
        ("ab abcdefghij", 4, ["ab", "abcd", "efgh", "ij"]),
        ("網路搜尋", 4, ["網路", "搜尋"]),
    ],
)
def test_words_go_to_the_next_line(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


def test_numbers_of_trials_are_said_in_runs() -> None:
    assert runs_of([7, 2, 0, 1]) == "#0 to #2, #7"


def test_a_long_key_breaks_behind_its_marks_and_loses_nothing() -> None:
    lines = wrap(KEY, 30)
    assert lines == ["shufflenet.g3.b4.shuffle_", "stem24s2p_240x4s2-480x8s2-", "960x4s2_3x224x224_c1000"]
    assert "".join(lines) == KEY


def test_a_long_word_can_be_kept_whole_on_a_line_of_its_own() -> None:
    assert wrap("see /a/very/long/path for it", 10, whole=True) == ["see", "/a/very/long/path", "for it"]


def test_an_indent_is_within_the_width() -> None:
    assert wrap("two short lines", 11, indent=2) == ["  two short", "  lines"]


@given(st.text(), st.integers(2, 100), st.integers(0, 4))
def test_no_line_is_wider_than_asked_for_and_no_text_is_lost(text: str, width: int, indent: int) -> None:
    lines = wrap(text, width + indent, indent=indent)
    assert max(map(width_of, lines)) <= width + indent
    kept = "".join("".join(lines).split())
    assert kept == "".join("".join(printable(part) for part in text.split("\n")).split())


def test_what_steers_a_terminal_is_spelt_out() -> None:
    assert printable("a\x1b[2Jb\r") == "a\\x1b[2Jb\\r"
    assert wrap("a\x1b[2Jb", 80) == ["a\\x1b[2Jb"]


def test_padding_counts_cells() -> None:
    assert padded("網路", 6) == "網路  "
    assert padded("12", 4, "right") == "  12"
    assert width_of("e\u0301") == 1
