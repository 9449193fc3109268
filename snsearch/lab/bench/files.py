"""The files of the bench: members, right answers, training-free scores, and frozen recipes."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from snsearch.codec import suggestion
from snsearch.errors import StudyError
from snsearch.lab.logs import Identity
from snsearch.training import Bits, bits_of, text_of

RESULTS = Path(__file__).parent / "tables"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A network of a set, by a label that is its own in the set."""

    label: str
    space: str
    published: bool
    key: str  # at the deployed resolution
    macs: int
    params: int


def write_members(path: Path, members: Iterable[Member]) -> None:
    """Writes a set's members as CSV."""
    names = [field.name for field in fields(Member)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([int(v) if isinstance(v := getattr(m, n), bool) else v for n in names] for m in members)


def read_members(path: Path) -> tuple[Member, ...]:
    """The members of a set's CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Member(
                label=row["label"],
                space=row["space"],
                published=row["published"] == "1",
                key=row["key"],
                macs=int(row["macs"]),
                params=int(row["params"]),
            )
            for row in csv.DictReader(file)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenSet:
    """How the members of one set are trained, and on what."""

    name: str
    held_out: bool
    budget_mflops: float
    fingerprint: str  # of the data
    recipe: dict[str, Any]  # the values of snsearch's Recipe

    @property
    def digest(self) -> str:
        """Eight hex digits that change with the data and the recipe: the recipe's name in the log."""
        return digest_of({"fingerprint": self.fingerprint, "recipe": self.recipe})[:8]


def digest_of(values: Any) -> str:
    """The SHA-256 of values as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_frozen(path: Path, sets: Sequence[FrozenSet], check_loss: float) -> None:
    """Writes recipe.json."""
    values = {
        "check_loss": round(check_loss, 6),
        "sets": {
            one.name: {
                "held_out": one.held_out,
                "budget_mflops": one.budget_mflops,
                "fingerprint": one.fingerprint,
                "digest": one.digest,
                "recipe": one.recipe,
            }
            for one in sets
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values | {"digest": digest_of(values)[:16]}, indent=2) + "\n", encoding="utf-8")


def read_frozen(path: Path) -> tuple[dict[str, FrozenSet], float]:
    """The sets of recipe.json and the loss of the check. Raises ValueError where a digest does not fit."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.pop("digest") != digest_of(values)[:16]:
        raise ValueError(f"{path.name} was changed after it was frozen: its digest does not fit")
    sets = {
        name: FrozenSet(
            name=name,
            held_out=one["held_out"],
            budget_mflops=one["budget_mflops"],
            fingerprint=one["fingerprint"],
            recipe=one["recipe"],
        )
        for name, one in values["sets"].items()
    }
    return sets, values["check_loss"]


def table_names() -> tuple[str, ...]:
    """The names of the tables that come with snsearch, whether they are complete or not."""
    return tuple(sorted(read_frozen(RESULTS / "recipe.json")[0]))


def check_table_names(names: Iterable[str]) -> None:
    """Raises StudyError for a name that no table has."""
    known = table_names()
    for name in names:
        if name not in known:
            raise StudyError(f"no table {name!r}{suggestion(name, known)}")


def append_correct(path: Path, identity: Identity, bits: Bits) -> None:
    """Adds a training's right answers to a file; a line that a killed run left torn is cut first."""
    data = path.read_bytes() if path.exists() else b""
    with path.open("ab") as file:
        file.truncate(data.rfind(b"\n") + 1)
        file.write(f"{','.join(map(str, identity))},{len(bits)},{text_of(bits)}\n".encode())


def read_correct(path: Path) -> dict[Identity, Bits]:
    """Right answers by member, recipe and seed; of a training that stands there twice, the later."""
    found: dict[Identity, Bits] = {}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            label, recipe, seed, count, text = line.rstrip("\n").split(",")
            found[label, recipe, int(seed)] = bits_of(text, int(count))
    return found


def write_scores(path: Path, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Writes training-free scores, by member's label and name, as CSV; a higher one expects a better network."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("label", "score", "value"))
        writer.writerows(
            (label, name, f"{value:.9g}") for label, own in scores.items() for name, value in own.items()
        )


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """The scores of a CSV file, by member's label and name; none where there is no file."""
    found: dict[str, dict[str, float]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["label"], {})[row["score"]] = float(row["value"])
    return found
