"""Pieces of work: a network is trained from where it is to a share of the full training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snsearch.errors import StudyError
from snsearch.network import Architecture
from snsearch.training import (
    Dataset,
    Part,
    ProxyResult,
    Recipe,
    Report,
    Stop,
    follow_batches,
    pick_device,
    ran_out_of_memory,
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every piece of a search needs."""

    dataset: Dataset
    device: str  # "auto": the best one of whichever machine does the piece
    checkpoints: Path  # folder; there already, and the same for all machines
    train: Callable[..., ProxyResult]  # as train_proxy; importable, where processes do the work


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A network to train to a share of the full training, and to score."""

    name: str
    architecture: Architecture
    recipe: Recipe  # of the full training
    seed: int
    until: float
    score_on: Part
    weights: Path | None = None  # where those that were scored are kept

    @property
    def checkpoint(self) -> str:
        """The name of the file from which this training goes on."""
        return checkpoint_of(self.architecture, self.score_on, self.seed)


def checkpoint_of(architecture: Architecture, score_on: Part, seed: int) -> str:
    """The name of the file of a training's state."""
    called = f"{architecture.key} {score_on}"
    return f"{hashlib.sha256(called.encode()).hexdigest()[:16]}-{seed}.pt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A piece that could not be done: the network's fault, which must not end the search."""

    reason: str
    short_of_memory: bool


def do_piece(job: Job, piece: Piece, report: Report, stop: Stop) -> ProxyResult | Failed:
    """Does a piece: a pure function of both, but for the checkpoint that it goes on from and leaves.

    Raises KeyboardInterrupt where `stop` says so, and StudyError where the state cannot be saved.
    """
    if stop():
        raise KeyboardInterrupt
    if not job.checkpoints.is_dir():
        raise StudyError(
            f"a worker does not see the study's folder {str(job.checkpoints.parent)!r}: give an --out that lies on a "
            "path of all machines"
        )
    report("begun", piece.name, piece.architecture)
    device = pick_device(job.device)
    try:
        return job.train(
            piece.architecture,
            job.dataset,
            piece.recipe,
            seed=piece.seed,
            device=device,
            checkpoint=job.checkpoints / piece.checkpoint,
            on_batch=follow_batches(report, stop),
            until=piece.until,
            score_on=piece.score_on,
            weights=piece.weights,
        )
    except StudyError:  # the system's fault
        raise
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
        short = ran_out_of_memory(error)
        return Failed(reason=f"out of memory ({words})" if short else words, short_of_memory=short)
