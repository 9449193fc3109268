"""Pieces of work that others do: a folder that a worker does not see, and a candidate that executors lose."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import pytest

from snsearch.errors import StudyError
from snsearch.study.search.pieces import Job, Piece, do_piece
from snsearch.study.verdict import verdict_of
from tests.studies import RECIPE, Setup, digits, pretended_training

made_up = pretended_training(lambda arch: (0.9 - arch.stage_channels[-1] / 1e4, 0.5 - arch.stage_channels[-1] / 1e4))


class Losing(Executor):
    """An executor whose machines die of one network, or of all."""

    def __init__(self, deadly: str) -> None:
        self.deadly, self.tries = deadly, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        (piece,) = (one for one in args if isinstance(one, Piece))
        if self.deadly in piece.architecture.key:
            self.tries += 1
            future.set_exception(BrokenExecutor("the node died. It was rack-7"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_candidate_that_its_machines_die_of_is_failed_with_the_reason_and_the_search_goes_on(
    tmp_path: Path,
) -> None:
    setup = Setup(tmp_path, train=made_up)
    candidates = setup.candidates()
    deadly = candidates.solutions[candidates.published[1]].architecture.key
    executor = Losing(deadly)
    setup.search(executor=executor, workers=2)
    record = setup.study()
    failed = [trial for trial in record.trials if trial.status == "failed"]
    assert [(trial.architecture and trial.architecture.key, trial.reason) for trial in failed] == [
        (deadly, "it was lost 3 times: BrokenExecutor: the node died")
    ]
    assert executor.tries == 3
    assert verdict_of(record, 0.5) is not None


def test_three_candidates_in_a_row_that_are_lost_end_the_search_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"failed.*it was lost 3 times: BrokenExecutor: the node died"):
        Setup(tmp_path, train=made_up).search(executor=Losing(""), workers=1)


def test_a_worker_that_does_not_see_the_studys_folder_says_so(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    candidates = setup.candidates()
    piece = Piece(
        name="#0",
        architecture=candidates.solutions[candidates.published[0]].architecture,
        recipe=RECIPE,
        seed=0,
        until=1.0,
        score_on="validation",
    )
    job = Job(dataset=digits(), device="cpu", checkpoints=tmp_path / "elsewhere" / "checkpoints", train=made_up)
    with pytest.raises(StudyError, match="give an --out that lies on a path of all machines"):
        do_piece(job, piece, lambda kind, *details: None, lambda: False)
