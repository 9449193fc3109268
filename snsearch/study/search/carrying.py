"""Pieces for machines that do not see the study's folder: checkpoints and weights travel with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snsearch.errors import StudyError
from snsearch.files import faults_as, write_whole
from snsearch.study.search.pieces import Failed, Job, Piece, do_piece
from snsearch.training import ProxyResult, Report, Stop, Work


class Carried:
    """A piece, and the file that its training goes on from; the file is read when this is pickled."""

    def __init__(self, piece: Piece, checkpoints: Path) -> None:
        self.piece, self._checkpoints = piece, checkpoints

    def __reduce__(self) -> tuple[Any, ...]:
        return _Arrived, (self.piece, _content(self._checkpoints / self.piece.checkpoint))


@dataclass(frozen=True)
class _Arrived:
    """A carried piece where it is done."""

    piece: Piece
    checkpoint: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a piece came to, with the files that it left."""

    outcome: ProxyResult | Failed
    checkpoint: bytes | None  # None of a training that is at its end
    weights: bytes | None


def carried(work: Work, checkpoints: Path) -> Work:
    """The work with what it needs of the study's folder, to be done by `do_carried`; its files are kept there."""
    piece: Piece = work.task

    def done(answer: Answer) -> None:
        with faults_as(StudyError, "what a worker has trained cannot be kept"):
            if answer.checkpoint is not None:
                write_whole(checkpoints / piece.checkpoint, answer.checkpoint)
            if answer.weights is not None and piece.weights is not None:
                write_whole(piece.weights, answer.weights)
        work.done(answer.outcome)

    return replace(work, task=Carried(piece, checkpoints), done=done)


def do_carried(job: Job, arrived: _Arrived, report: Report, stop: Stop) -> Answer:
    """Does a piece in a folder of its own."""
    with TemporaryDirectory(prefix="snsearch-") as name:
        folder, piece = Path(name), arrived.piece
        checkpoint, weights = folder / piece.checkpoint, folder / "weights"
        if arrived.checkpoint is not None:
            checkpoint.write_bytes(arrived.checkpoint)
        here = replace(piece, weights=piece.weights and weights)
        outcome = do_piece(replace(job, checkpoints=folder), here, report, stop)
        over = isinstance(outcome, ProxyResult) and outcome.finished
        return Answer(outcome=outcome, checkpoint=None if over else _content(checkpoint), weights=_content(weights))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
