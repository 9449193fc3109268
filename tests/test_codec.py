"""The codec: what records and TOML files may hold, what a refusal says, and the way back."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.codec import (
    Count,
    Field,
    Positive,
    Stored,
    Text,
    decode,
    differences,
    encode,
    filled,
    number,
    parse_json,
    suggestion,
    text,
)
from snsearch.errors import DeviceError, SpecError
from snsearch.toml_files import read_toml, toml_of
from snsearch.units import parse_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    size: Annotated[int, Field(read=parse_bytes)]
    options: tuple[Literal["shuffle", "se"], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    STORED: ClassVar = Stored(
        schema=3,
        older=(2,),
        upgrade=lambda values: {"title" if key == "old title" else key: one for key, one in values.items()},
        derived={"words": lambda whole: f"{whole.title}!"},
    )

    title: Annotated[str, text("a line of text")]
    count: Count
    groups: Annotated[tuple[Count, ...], filled("a list of group counts"), Field(key="unit.groups")]
    shuffle: Annotated[bool, Field(key="unit.shuffle")] = True
    macs: Annotated[int | None, Field(key="mflops", read=lambda value: round(value * 1e6), toml=True)] = None
    ends: tuple[float, float] | None = None
    share: Annotated[float, number("a share", 0, 1)] = 0.5
    rates: tuple[tuple[str, Positive], ...] = ()
    parts: dict[str, Part] = field(default_factory=dict)
    runs: tuple[dict[str, Any], ...] = ()
    label: Text | None = None

    def __post_init__(self) -> None:
        if self.title == "none":
            raise SpecError("no title of a whole")


WHOLE = Whole(
    title="one",
    count=3,
    groups=(1, 2),
    macs=140_000_000,
    ends=(0.5, 2.0),
    rates=(("b", 1.0), ("a", 2.5)),
    parts={"first": Part(size=1024, options=("se",))},
    runs=({"host": None},),
)
VALUES: dict[str, Any] = {"schema": 3, "title": "one", "count": 3, "unit": {"groups": [1, 2]}}


def test_a_record_comes_back_from_json_as_it_was() -> None:
    values = json.loads(json.dumps(encode(WHOLE)))
    assert decode(Whole, values, "it") == WHOLE
    assert values == {
        "schema": 3,
        "title": "one",
        "count": 3,
        "unit": {"groups": [1, 2], "shuffle": True},
        "macs": 140_000_000,
        "ends": [0.5, 2.0],
        "share": 0.5,
        "rates": {"b": 1.0, "a": 2.5},
        "parts": {"first": {"size": 1024, "options": ["se"]}},
        "runs": [{"host": None}],
        "label": None,
        "words": "one!",
    }


def test_a_tuple_of_records_is_read() -> None:
    assert decode(tuple[Part, ...], [{"size": "1KiB"}, {"size": 3}], "it") == (Part(size=1024), Part(size=3))


def test_an_older_schema_is_brought_to_this_one() -> None:
    older = {"schema": 2, "old title": "one", "count": 3, "unit": {"groups": [1]}}
    assert decode(Whole, older, "it").title == "one"


def test_integers_become_numbers_and_nothing_else_changes_its_type() -> None:
    read = decode(Whole, VALUES | {"ends": [1, 2], "share": 1}, "it")
    assert read.ends == (1.0, 2.0)
    assert [type(value) for value in (*read.ends, read.share)] == [float] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "one"}, 'it: unknown key "titel"; did you mean "title"?'),
        ({"zzz": 1}, 'it: unknown key "zzz"; known: title, count, unit, macs'),
        ({"unit": {"groups": [1], "grups": 1}}, 'it: unit: unknown key "grups"; did you mean "groups"?'),
        ({"unit": {}}, 'it: unit: missing key "groups"; expected a list of group counts'),
        ({"unit": 3}, "it: unit is 3; expected an object"),
        ({"unit": {"groups": []}}, "it: unit.groups is []; expected a list of group counts"),
        ({"unit": {"groups": 3}}, "it: unit.groups is 3; expected a list of group counts"),
        ({"unit": {"groups": [1, True]}}, "it: unit.groups[1] is True; expected a positive integer"),
        ({"unit": {"groups": [1, 2.0]}}, "it: unit.groups[1] is 2.0; expected a positive integer"),
        ({"unit": {"groups": ["1"]}}, "it: unit.groups[0] is '1'; expected a positive integer"),
        ({"count": 10**6 + 1}, "it: count is 1000001; expected a positive integer up to 1,000,000"),
        ({"macs": 1 << 63}, "it: macs is 9223372036854775808; expected an integer"),
        ({"count": None}, "it: count is None; expected a positive integer"),
        ({"title": " "}, "it: title is ' '; expected a line of text"),
        ({"title": 3}, "it: title is 3; expected a line of text"),
        ({"title": "none"}, "it: no title of a whole"),
        ({"ends": [1.0]}, "it: ends is [1.0]; expected a list of 2"),
        ({"ends": [1.0, math.nan]}, "it: ends[1] is nan; expected a number"),
        ({"ends": [math.inf, 1.0]}, "it: ends[0] is inf; expected a number"),
        ({"ends": [1.0, 10**400]}, "it: ends[1] is 1000000"),
        ({"share": 1.5}, "it: share is 1.5; expected a share"),
        ({"share": "0.5"}, "it: share is '0.5'; expected a share"),
        ({"share": True}, "it: share is True; expected a share"),
        ({"rates": {"a": 0}}, "it: rates.a is 0; expected a positive number"),
        ({"rates": [["a", 1]]}, "it: rates is [['a', 1]]; expected an object"),
        ({"parts": {"a": {"size": "big"}}}, "it: parts.a.size: 'big' is not a quantity; expected a size"),
        ({"parts": {"a": {"size": []}}}, "it: parts.a.size: [] is not a quantity"),
        (
            {"parts": {"a": {"size": 1, "options": ["se", "shufle"]}}},
            "it: parts.a.options[1] is 'shufle'; expected one of shuffle, se; did you mean \"shuffle\"?",
        ),
        ({"parts": {"a": [1]}}, "it: parts.a is [1]; expected an object"),
        ({"runs": [1]}, "it: runs[0] is 1; expected an object"),
        ({"runs": "x" * 200}, f"it: runs is '{'x' * 59} ... "),
        ({"schema": 4}, "it: schema is 4; this version of snsearch reads schema 2 and 3"),
        ({"schema": True}, "it: schema is True; this version"),
        ({"schema": "3"}, "it: schema is '3'; this version"),
    ],
)
def test_a_refusal_names_the_path_what_was_given_and_what_was_expected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        decode(Whole, VALUES | change, "it", error=DeviceError)
    assert str(caught.value).startswith(message)


def test_an_integer_that_python_does_not_print_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^it: count is an integer of thousands of digits; expected a positive"):
        decode(Whole, VALUES | {"count": 1 << 100_000}, "it")


@pytest.mark.parametrize("values", [None, [], "text", 3, True])
def test_what_is_no_object_is_refused(values: object) -> None:
    with pytest.raises(SpecError, match=r"^it is .*; expected an object$"):
        decode(Whole, values, "it")


def test_a_missing_schema_is_named() -> None:
    with pytest.raises(SpecError, match=r"^it: schema is missing; this version of snsearch reads schema 2 and 3$"):
        decode(Whole, {key: value for key, value in VALUES.items() if key != "schema"}, "it")


@pytest.mark.parametrize(
    "content", ["{", "", '{"a": NaN}', "[-Infinity]", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_what_is_no_json_is_refused_as_such(content: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(content)


# TOML.


TOML = """\
schema = 1
title = "one"
count = 3
mflops = 140
[unit]
groups = [1, 2]
[parts.first]
size = "1KiB"
options = ["se"]
"""


def read(path: Path, content: str) -> Whole:
    path.write_text(content, encoding="utf-8")
    values, where = read_toml(path, "whole")
    return decode(Whole, values, where, toml=True)


def test_a_file_has_keys_and_quantities_of_its_own(tmp_path: Path) -> None:
    made = read(tmp_path / "x.toml", TOML)
    assert (made.macs, made.groups, made.parts["first"].size) == (140_000_000, (1, 2), 1024)
    assert (made.ends, made.label) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("groups = [1, 2]", "groups = [1, 0]", "[unit] groups[1] is 0; expected a positive integer"),
        ("groups = [1, 2]", "group = [1]", '[unit]: unknown key "group"; did you mean "groups"?'),
        ("groups = [1, 2]", "", '[unit]: missing key "groups"; expected a list of group counts'),
        ("[unit]", "[units]", 'unknown key "units"; did you mean "unit"?'),
        ("mflops = 140", "macs = 140", 'unknown key "macs"'),
        ("mflops = 140", 'mflops = "140"', "mflops is '140'; expected"),
        ('size = "1KiB"', "size = -1", "[parts.first] size: -1 is not a quantity"),
        ('size = "1KiB"', "sizes = 1", '[parts.first]: unknown key "sizes"; did you mean "size"?'),
        ('title = "one"', "title = inf", "title is inf; expected a line of text"),
        ("schema = 1", "schema = 2", "schema is 2; this version of snsearch reads schema 1"),
        ("schema = 1", "", 'missing key "schema"'),
        ("count = 3", "count = 0x" + "f" * 5000, "count is an integer of thousands of digits; expected a positive"),
        ("count = 3", "count = " + "9" * 5000, "not valid TOML"),
        ("count = 3", "count = " + "[" * 100_000, "not valid TOML"),
    ],
)
def test_a_refusal_names_the_file_and_the_table(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TOML
    with pytest.raises(SpecError) as caught:
        read(tmp_path / "x.toml", TOML.replace(old, new))
    assert str(caught.value).startswith(f'whole "x.toml": {message}')


def test_a_file_holds_values_then_tables_and_no_defaults() -> None:
    assert toml_of(Part(size=3, options=("se",)), {"options": "switches"}) == (
        'schema = 1\nsize = 3\noptions = [\n  "se",\n]  # switches\n'
    )
    assert toml_of(Part(size=3)) == "schema = 1\nsize = 3\n"


@given(st.text().filter(str.strip), st.floats(0, 1), st.lists(st.floats(1e-3, 1e9), max_size=3))
def test_any_text_and_number_survives_a_file(title: str, share: float, rates: list[float]) -> None:
    try:
        title.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text that a file could hold
    six = [(f"r{index}", float(f"{rate:.6g}")) for index, rate in enumerate(rates)]
    whole = Whole(title=title, count=1, groups=(1,), share=float(f"{share:.6g}"), rates=tuple(six))
    if title != "none":
        values = tomllib.loads(toml_of(whole))
        del values["schema"]
        assert decode(Whole, values, "it", toml=True) == whole


# Comparing.


def test_what_differs_is_said_key_by_key() -> None:
    before = {"seed": 0, "recipe": {"epochs": 1, "old": 2}, "budget": {"macs": 1}, "data": "a", "list": [1]}
    now = {"seed": 0, "recipe": {"epochs": 9, "new": None}, "budget": None, "data": "b", "list": [1, 2]}
    assert differences(before, now, ("data",)) == [
        "recipe epochs: 1, now 9",
        "recipe old: 2, now None",
        "budget: {'macs': 1}, now None",
        "list: [1], now [1, 2]",
    ]


def test_a_near_word_is_suggested_else_all_are_named() -> None:
    assert suggestion("mac", ("macs", "params")) == '; did you mean "macs"?'
    assert suggestion("zzz", ("macs", "params")) == "; known: macs, params"
