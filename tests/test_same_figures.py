"""Solve, count, latency and report figures are those of the version that wrote tests/fixtures/figures.json."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import Outcome
from tests.same_figures import GOLDEN, commands, figures_of, name_of

# Recipe fields that no recipe ever set, and rungs, which a search has no more; the settings have a newer schema.
RUNGS = {f"/settings/rungs/{name}" for name in ("at/0", "keep", "epsilon", "fewest")}
GONE = {"/settings/recipe/label_smoothing", "/settings/recipe/low_resolution", "/settings/schema", *RUNGS}
WRITTEN = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", commands(), ids=name_of)
def test_figures_are_as_before(command: tuple[str, ...], run: Callable[..., Outcome]) -> None:
    outcome = run(*command, "--format", "json")
    assert outcome.code == 0, outcome.err
    now = figures_of(outcome.out)
    before = {path: value for path, value in WRITTEN[name_of(command)].items() if path not in GONE}
    assert {path: now.get(path) for path in before} == pytest.approx(before, rel=1e-9)
