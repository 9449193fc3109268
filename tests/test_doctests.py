"""The examples in the docstrings of the public API run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import snsearch

FOLDER = Path(snsearch.__file__).parent / "api"


@pytest.mark.parametrize("module", sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"))
def test_the_examples_print_what_they_say(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"snsearch.api.{module}"), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0
