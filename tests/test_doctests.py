"""The examples in the docstrings of the public API run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import snsearch

FOLDER = Path(snsearch.__file__).parent / "api"
THAT_TRAIN = {"searching", "evaluating", "full_training"}


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in THAT_TRAIN else [])
        for name in sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
    ],
)
def test_the_examples_print_what_they_say(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])  # reports/sample is there
    results = doctest.testmod(importlib.import_module(f"snsearch.api.{module}"), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_every_public_function_has_an_example() -> None:
    functions = [one for name in snsearch.__all__ if inspect.isfunction(one := getattr(snsearch, name))]
    assert len(functions) > 10
    assert [one.__name__ for one in functions if ">>> " not in str(one.__doc__)] == []
