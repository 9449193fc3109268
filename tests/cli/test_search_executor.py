"""snsearch search --executor: what is wrong with it is told before anything is read, in one line, without secrets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from tests.conftest import Outcome

Run = Callable[..., Outcome]

SEARCH = ("search", "--budget", "3", "--data", "digits")


@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_a_missing_engine_names_its_extra(engine: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = run(*SEARCH, "--executor", engine)
    assert found.code == 6
    assert f'pip install "snsearch[{engine}]"' in found.err
    assert found.err.count("snsearch: ") == 1


@pytest.mark.parametrize("address", ["ray://me:hunter2@head:10001", "ray://head:10001?token=hunter2", "hunter2@head"])
def test_an_address_with_a_secret_is_wrong_usage_that_does_not_show_it(address: str, run: Run) -> None:
    found = run(*SEARCH, "--executor", address)
    assert found.code == 2
    assert "hunter2" not in found.err


def test_resources_need_an_engine(run: Run) -> None:
    found = run(*SEARCH, "--resources", "cpu=2")
    assert found.code == 3
    assert "resources are for an executor such as ray or slurm" in found.err
