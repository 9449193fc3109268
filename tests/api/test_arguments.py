"""Arguments of a wrong kind are refused at the door of every public function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import pytest

import snsearch
from snsearch.errors import SpecError

PUBLIC = [one for name in snsearch.__all__ if inspect.isfunction(one := getattr(snsearch, name))]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda one: one.__name__)
def test_every_argument_of_a_public_function_is_checked(function: Callable[..., Any]) -> None:
    required = {
        name: None
        for name, one in inspect.signature(function).parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_POSITIONAL
    }
    for name, one in inspect.signature(function).parameters.items():
        strange = [object()] if one.kind is one.VAR_POSITIONAL else []
        given = {**required, name: object()} if not strange else required
        ordered = {key: given[key] for key in sorted(given, key=lambda key: key != name)}
        with pytest.raises(SpecError, match=f"{function.__name__}: .* is .*; expected "):
            function(*strange, **ordered)


@pytest.mark.parametrize(
    ("call", "argument", "given", "expected"),
    [
        (lambda: snsearch.solve(mflops="40"), "mflops", "'40'", "a number"),  # type: ignore[arg-type]
        (lambda: snsearch.solve(groups="3"), "groups", "'3'", "an integer"),  # type: ignore[arg-type]
        (lambda: snsearch.solve(mflops=[40, "a"]), "mflops", "[40, 'a']", "a number"),  # type: ignore[list-item]
        (lambda: snsearch.solve(mflops=True), "mflops", "True", "a number"),
        (lambda: snsearch.solve(groups=[3.5]), "groups", "[3.5]", "a list of integers or lists of integers"),  # type: ignore[list-item]
        (lambda: snsearch.build("alexnet", classes="x"), "classes", "'x'", "an integer or None"),  # type: ignore[arg-type]
        (lambda: snsearch.count(None), "network", "None", "NamedNetwork"),  # type: ignore[arg-type]
        (lambda: snsearch.build(3), "network", "3", "Solution"),  # type: ignore[arg-type]
        (lambda: snsearch.predict("alexnet", profile=3), "profile", "3", "Profile"),  # type: ignore[arg-type]
        (lambda: snsearch.measure(3, "local"), "what", "3", "StudyRecord"),  # type: ignore[arg-type]
        (lambda: snsearch.search(40, split="test=x"), "split", "'test=x'", "a list of texts"),
        (lambda: snsearch.search(40, effort="quik"), "effort", "'quik'", 'did you mean "quick"'),  # type: ignore[arg-type]
        (lambda: snsearch.count("alexnet", precision="int7"), "precision", "'int7'", '"int8"'),  # type: ignore[arg-type]
    ],
)
def test_a_refusal_names_the_argument_what_was_given_and_what_was_expected(
    call: Callable[[], object], argument: str, given: str, expected: str
) -> None:
    with pytest.raises(SpecError) as refused:
        call()
    assert f"{argument} is {given}; expected " in str(refused.value)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: snsearch.search(40, data="digits", time_limit="x"), "time_limit: 'x' is not a quantity"),
        (
            lambda: snsearch.search(40, data="digits", full_images=63),
            "full_images: 63 is out of range; expected at least 64",
        ),
        (
            lambda: snsearch.train("alexnet", "out", data="digits", save_every="x"),
            "save_every: 'x' is not a quantity",
        ),
        (lambda: snsearch.search(40, data="digits", time_limit=0), "time_limit: 0 is out of range; expected a dur"),
        (
            lambda: snsearch.search(40, data="digits", time_limit=-5),
            "time_limit: -5 is not a quantity; expected a dur",
        ),
        (lambda: snsearch.search(40, data="digits", classes=0), "classes: 0 is out of range; expected a positive"),
        (lambda: snsearch.search(40, data="digits", trials=-3), "trials: -3 is out of range; expected at least 1"),
        (
            lambda: snsearch.search(40, data="digits", margin=float("nan")),
            "margin: nan is out of range; expected 0 to 100",
        ),
        (
            lambda: snsearch.train("alexnet", "out", data="digits", epochs=0),
            "epochs: 0 is out of range; expected 1 to 100,000",
        ),
        (
            lambda: snsearch.train("alexnet", "out", data="digits", learning_rate=0),
            "learning_rate: 0 is out of range; expected above 0, up to 100",
        ),
        (lambda: snsearch.build("alexnet", classes=0), "classes: 0 is out of range; expected a positive integer"),
        (lambda: snsearch.build("alexnet", channels=0), "channels: 0 is out of range; expected a positive integer"),
        (
            lambda: snsearch.count("shufflenet-v1"),
            "'shufflenet-v1' is a space, not a network; .* makes networks of it",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_argument(call: Callable[[], object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", {"network": "alexnet", "out": "out", "data": "digits"}),
        ("search", {"budget": 40, "data": "digits"}),
        ("export", {"network": "alexnet", "to": "pt2", "out": "out"}),
    ],
)
def test_python_refuses_the_numbers_that_the_command_line_refuses(command: str, arguments: dict[str, Any]) -> None:
    options = getattr(importlib.import_module(f"snsearch.cli.{command}"), command).params
    ranges = {one.name: one.type for one in options if isinstance(one.type, (click.IntRange, click.FloatRange))}
    assert "seed" in ranges
    for name, within in ranges.items():
        outside = [] if within.max is None else [within.max + 1]
        outside.append(within.min if within.min_open else within.min - 1)
        for value in outside:
            with pytest.raises(SpecError, match=f"^{name}: {value} is out of range; expected"):
                getattr(snsearch, command)(**arguments, **{name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    [found] = snsearch.solve(mflops=np.float64(40), groups=np.int64(3))  # type: ignore[arg-type]
    assert found == snsearch.solve(mflops=40, groups=3)[0]


def test_a_wrong_name_of_an_argument_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match=r"solve\(\) got an unexpected keyword argument 'mflop'"):
        snsearch.solve(mflop=40)  # type: ignore[call-arg]
