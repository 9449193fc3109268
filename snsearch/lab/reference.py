"""Reference sets: candidates of one budget trained long with several seeds, to judge scores by.

A set is a folder: `set.json` says what was trained on what and how, `trainings.csv` holds every training's learning
curve, `scores.csv` the training-free scores. It grows: trainings that it lacks are added, none is done twice.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

from snsearch.codec import Stored, decode, differences, encode, parse_json
from snsearch.errors import StudyError
from snsearch.files import faults_as, read_given, write_whole
from snsearch.lab.logs import Curve, TrainingLog
from snsearch.lab.scores import ScoreResult
from snsearch.lab.trainings import Training
from snsearch.network import Architecture
from snsearch.solver import Budget, Candidates, Design, label_of
from snsearch.training import Recipe

_MOST_BYTES = 2**23  # of a set.json
REFERENCE = "reference"  # the recipe of the long trainings


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A candidate of a set."""

    STORED: ClassVar = Stored(derived={"key": attrgetter("architecture.key")})

    label: str
    design: Design
    architecture: Architecture
    macs: int
    params: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceSet:
    """The content of a set's `set.json`."""

    STORED: ClassVar = Stored(schema=1)

    name: str
    space: str
    space_digest: str
    budget: Budget
    tight: bool
    data: str
    data_fingerprint: str
    data_description: str
    train_images: int
    members: tuple[Member, ...]
    recipes: dict[str, Recipe]  # REFERENCE and the proxies', by name
    seeds: tuple[int, ...]  # of the reference
    remark: str = ""  # such as why this data
    tuned_on: bool = False  # proxies were chosen by looking at this set
    runs: tuple[dict[str, Any], ...] = field(default=())  # environments that it was computed in

    def trainings(self, recipe: str, seeds: Sequence[int]) -> list[Training]:
        """The trainings of every member with a recipe, seed by seed."""
        return [
            Training(
                label=member.label,
                architecture=member.architecture,
                recipe_name=recipe,
                recipe=self.recipes[recipe],
                seed=seed,
            )
            for seed in seeds
            for member in self.members
        ]


def members_of(candidates: Candidates, designs: Sequence[Design]) -> tuple[Member, ...]:
    """The designs as members of a set."""
    solutions = [candidates.solutions[design] for design in designs]
    return tuple(
        Member(
            label=label_of(design),
            design=design,
            architecture=solution.architecture,
            macs=solution.costs.macs,
            params=solution.costs.params,
        )
        for design, solution in zip(designs, solutions, strict=True)
    )


def read_set(folder: Path) -> ReferenceSet:
    """The set of a folder. Raises StudyError if its set.json cannot be read."""
    path = folder / "set.json"
    try:
        values = parse_json(read_given(path, _MOST_BYTES))
    except OSError as error:
        raise StudyError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise StudyError(f"{str(path)!r} is no reference set: {error}") from None
    return decode(ReferenceSet, values, f"the reference set {str(path)!r}", error=StudyError)


def write_set(reference: ReferenceSet, folder: Path) -> None:
    """Writes a set's set.json in one step. Raises StudyError if it cannot be written."""
    text = json.dumps(encode(reference), indent=1, ensure_ascii=False) + "\n"
    with faults_as(StudyError, f"the set {str(folder)!r} cannot be written"):
        write_whole(folder / "set.json", text)


def extended(stored: ReferenceSet, wanted: ReferenceSet) -> ReferenceSet:
    """A stored set with what a new run adds to it: recipes, seeds, environments.

    Raises StudyError if the two are not of one kind: another budget, space, data, candidates or recipe.
    """
    old, new = encode(stored), encode(wanted)
    kind = ("space", "space_digest", "budget", "tight", "data_fingerprint", "members")
    common = sorted(stored.recipes.keys() & wanted.recipes.keys())  # others are added
    before, now = (
        {name: one[name] for name in kind} | {f"recipe {name!r}": one["recipes"][name] for name in common}
        for one in (old, new)
    )
    if lines := differences(before, now):
        raise StudyError(
            f"the set {stored.name!r} was made with other settings ({'; '.join(lines)}); name another folder"
        )
    return replace(
        stored,
        recipes=stored.recipes | wanted.recipes,
        seeds=tuple(sorted({*stored.seeds, *wanted.seeds})),
        remark=wanted.remark or stored.remark,
        runs=(*stored.runs, *wanted.runs),
    )


def log_of(folder: Path) -> TrainingLog:
    """The log of a set's trainings."""
    return TrainingLog(folder / "trainings.csv")


def curves_of(folder: Path) -> dict[tuple[str, str, int], Curve]:
    """The learning curves of a set, by candidate, recipe and seed."""
    return log_of(folder).read()


_SCORE_COLUMNS = ("candidate", "score", "seed", "value", "cpu_seconds", "snsearch", "torch")


def write_scores(folder: Path, scores: Sequence[tuple[str, ScoreResult]], versions: tuple[str, str]) -> None:
    """Writes the training-free scores of a set's members in one step; versions are snsearch's and torch's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_SCORE_COLUMNS)
    for label, result in scores:
        cost = f"{result.cpu_seconds:.4f}"
        writer.writerow((label, result.name, result.seed, f"{result.value:.8g}", cost, *versions))
    with faults_as(StudyError, f"the scores of {str(folder)!r} cannot be written"):
        write_whole(folder / "scores.csv", text.getvalue())


def read_scores(folder: Path) -> tuple[tuple[str, ScoreResult], ...]:
    """The training-free scores of a set, each with its member's label; empty where none were computed."""
    path = folder / "scores.csv"
    if not path.exists():
        return ()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(
            (
                row["candidate"],
                ScoreResult(
                    name=row["score"],
                    value=float(row["value"]),
                    cpu_seconds=float(row["cpu_seconds"]),
                    seed=int(row["seed"]),
                ),
            )
            for row in rows
        )
    except OSError as error:
        raise StudyError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise StudyError(f"{str(path)!r} holds no scores: {type(error).__name__}: {error}") from None
