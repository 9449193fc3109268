"""How work shows itself: reading by a bar, and a search where stderr is no terminal by one line an event."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from snsearch.cli.shared import progress as progress_module
from snsearch.cli.shared.progress import Progress
from snsearch.network.arch import Architecture
from snsearch.study.rungs import Rungs
from snsearch.training.found import Step
from tests.studies import Setup, pretended_training


def _errors(arch: Architecture) -> tuple[float, ...]:
    last = 0.9 - arch.stage_channels[-1] / 1e4
    return last + 0.01, last


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, [False, False]), (1.1, [True, True])])
def test_reading_that_takes_longer_than_a_second_is_shown_step_by_step(
    monkeypatch: pytest.MonkeyPatch, seconds: float, shown: list[bool]
) -> None:
    clock = count(step=seconds)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    progress = Progress()
    seen = []
    steps: tuple[Step, ...] = ("headers", "images")
    for step in steps:
        progress.read(step, 64, 6400)
        [task] = progress._bars.tasks
        assert (task.description, task.completed, task.total) == (step, 64, 6400)
        seen.append(task.visible)
    assert seen == shown


def test_off_a_terminal_a_candidate_is_one_line_and_the_pace_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    setup = Setup(tmp_path, rungs=Rungs(epsilon=0.0, keep=0.01, fewest=1), train=pretended_training(_errors))
    search = replace(setup.search(), report=progress.report)
    with progress:
        progress.searching("0 of 12 tried", search.study.records, 12, 1, "ms")
        search.run(trials=12)
    head, *lines = capsys.readouterr().err.splitlines()
    assert head.endswith("0 of 12 tried")
    assert [line.split()[0] for line in lines] == [f"#{number}" for number in range(12)]
    assert all(line.endswith(" 1 s") or line.endswith(" 0.5 s") for line in lines), lines
    assert any("others beat it there" in line for line in lines)
    pace = progress.summary()
    assert re.fullmatch(
        r"12 candidates tried; [\d,]+ candidates an hour, [1-7] stopped early, spent .+, about .+ left", pace
    )
