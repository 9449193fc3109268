"""Fixtures that several test modules share, and hypothesis' settings: the same examples in every run.

To look for new examples: `pytest --hypothesis-profile=explore`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import settings

from snsearch.cli import main

# One thread a process: the tests' networks are too small for more, and what they start runs beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("explore", derandomize=False, deadline=None, database=None, max_examples=3000)
settings.load_profile("repeatable")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process with the given arguments."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["snsearch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, captured.out, captured.err)

    return call
