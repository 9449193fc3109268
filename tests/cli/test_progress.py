"""How work shows itself: reading by a bar, and a search where stderr is no terminal by one line an event."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from snsearch.cli.shared import progress as progress_module
from snsearch.cli.shared.progress import Progress
from snsearch.network.arch import Architecture
from snsearch.training.found import Step
from tests.studies import Setup, pretended_training


def _errors(arch: Architecture) -> tuple[float, ...]:
    last = 0.9 - arch.stage_channels[-1] / 1e4
    return last + 0.03, last + 0.02, last + 0.01, last


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, [False] * 3), (1.1, [True] * 3)])
def test_reading_and_drawing_that_take_longer_than_a_second_are_shown_step_by_step(
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
    progress.drawn(64, 256)
    [task] = progress._bars.tasks
    assert (task.description, task.completed, task.total) == ("drawing networks", 64, 256)
    assert [*seen, task.visible] == shown


def test_off_a_terminal_a_training_is_one_line_and_the_pace_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    progress = Progress()
    setup = Setup(tmp_path, train=pretended_training(_errors))
    with progress:
        setup.search(progress)
    head, lengths, *lines = capsys.readouterr().err.splitlines()
    assert head.startswith("study digits: ")
    assert lengths.startswith("a full training takes ")
    assert " here, the rest of the search up to about " in lengths
    searched = [line for line in lines if line.startswith("#")]
    assert {int(line.split()[0][1:]) for line in searched} == {trial.number for trial in setup.study().trials}
    assert any(" after " in line for line in searched)
    finals = lines[len(searched) :]
    assert finals[0].endswith("trained in full by up to 2 seeds that did not choose them")
    assert finals[1].startswith("1/")
    pace = progress.summary()
    assert re.fullmatch(r"\d+ candidates tried, [\d.]+ of 5 full trainings' worth, .*spent .+", pace)


@pytest.mark.parametrize(
    ("spent", "words"),
    [(4.5, "4.5 of 5 full trainings' worth, spent "), (6.5, "5.0 of 5 full trainings' worth, 1.5 beyond it for ")],
)
def test_the_work_that_is_done_never_exceeds_its_total(spent: float, words: str) -> None:
    progress = Progress()
    progress.searching("", tuple, lambda: spent, 5.0, 1, "ms")
    assert words in progress.summary()
    assert all(task.completed <= task.total for task in progress._bars.tasks if task.total is not None)


def test_what_is_left_is_told_of_a_search_that_was_stopped_not_of_one_that_has_ended() -> None:
    def summary(error: BaseException | None) -> str:
        spent = iter((0.0, 2.0))
        progress = Progress()
        with suppress(KeyboardInterrupt), progress:
            progress.searching("", tuple, lambda: next(spent), 5.0, 1, "ms")
            if error is not None:
                raise error
        return progress.summary()

    assert summary(KeyboardInterrupt()).endswith(" left of the search")
    assert "left" not in summary(None)
