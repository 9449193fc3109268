"""Which split is which: roles from names, and stratified parts where a role is missing.

Three splits are used as three. Of two, the second is the test split whatever its name, and the validation images are
a tenth of every class of the training images. A single split is divided into all three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snsearch.training.found import ROLES, Role, Unusable

HELD_OUT = 0.1
_SYNONYMS: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_NAME = re.compile(rf"({'|'.join(_SYNONYMS)})([ _.-]*(set|data|images|imgs|split))?")
_SIZE = re.compile(r"\d+\s*(x|×)\s*\d+\s*(px)?|\d+\s*px")


def role_of(name: str) -> Role | None:
    """The role that a split's name says, in any case: "Train", "val", "TESTING", "test_set"; else None."""
    match = _NAME.fullmatch(name.strip().lower())
    return None if match is None else _SYNONYMS[match[1]]


def looks_like_size(name: str) -> bool:
    """Whether a folder's name is an image size, such as "224x224" or "64px"."""
    return _SIZE.fullmatch(name.strip().lower()) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    """Which name plays which role, which names play none, and what to tell the user."""

    names: Mapping[Role, str]
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def parse_splits(texts: Sequence[str]) -> tuple[tuple[Role, str], ...]:
    """The roles of `--split` texts: "train=NAME"; a bare NAME has its own role, or else is the training split.

    A single text may hold several, "train=NAME,test=NAME", whose names have no comma before a role. Of several texts
    each is one split, whatever commas its name has. Raises Unusable.
    """
    chosen: dict[Role, str] = {}
    for part in _divided(*texts) if len(texts) == 1 else texts:
        head, equals, name = part.partition("=")
        role = role_of(head) if equals else role_of(part) or "train"
        if role is None or not (name if equals else part):
            raise Unusable(f"split {part!r}: expected NAME, or train=NAME, validation=NAME, test=NAME")
        if role in chosen:
            raise Unusable(f"split {part!r}: {chosen[role]!r} is the {role} split already")
        chosen[role] = name if equals else part
    if chosen and "train" not in chosen:
        raise Unusable(f"no training split is named; add --split train=NAME to {', '.join(chosen.values())}")
    return tuple(chosen.items())


def _divided(text: str) -> list[str]:
    """The parts of a text, each of which begins with a role."""
    parts: list[str] = []
    for part in text.split(","):
        if parts and role_of(part.partition("=")[0]) is None:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    return parts


def assign_roles(names: Sequence[str], chosen: Mapping[Role, str] | None = None, *, kind: str = "split") -> Roles:
    """The roles of splits by their names, or as `chosen`.

    Raises Unusable, naming the splits, where two claim one role, or several are there and none is for training.
    """
    if chosen:
        by_role = {role: _match(name, names, kind) for role, name in chosen.items()}
        if len(set(by_role.values())) < len(by_role):
            raise Unusable(f"--split names one {kind} twice: {', '.join(by_role.values())}")
        return Roles(names=by_role, unused=tuple(name for name in names if name not in by_role.values()))
    claims: dict[Role, list[str]] = {role: [name for name in names if role_of(name) == role] for role in ROLES}
    unused = tuple(name for name in names if role_of(name) is None)
    if len(names) == 1:
        [only] = names
        odd = role_of(only) not in ("train", None)
        words = (f"{kind} {only!r} is all there is: it is divided into training, validation and test images",)
        return Roles(names={"train": only}, remarks=words if odd else ())
    for role, rivals in claims.items():
        if len(rivals) > 1:
            raise Unusable(
                f"{_many(kind)} {' and '.join(map(repr, rivals))} could both be the {role} split; choose by --split "
                f"{role}=NAME"
            )
    if not claims["train"]:
        raise Unusable(
            f"no {kind} is named as the training split: {', '.join(map(repr, names))}; choose by --split train=NAME"
            ",test=NAME"
        )
    found = {role: rivals[0] for role, rivals in claims.items() if rivals}
    if "validation" in found and "test" not in found:
        found["test"] = found.pop("validation")
    return Roles(names=found, unused=unused)


def _match(name: str, names: Sequence[str], kind: str) -> str:
    """The name as it is spelled there; the case may differ where only one is meant."""
    alike = [name] if name in names else [one for one in names if one.lower() == name.lower()]
    if len(alike) != 1:
        raise Unusable(f"there is no {kind} {name!r}; there are: {', '.join(names) or 'none'}")
    return alike[0]


def _many(kind: str) -> str:
    return f"{kind}s"


def held_out(labels: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the images to keep and of those held out: a tenth of every class, at least one of two or more.

    The same labels give the same split on every run and machine.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    by_class: dict[int, list[int]] = {}
    for index in order:
        by_class.setdefault(labels[index], []).append(int(index))
    out = [i for group in by_class.values() if len(group) > 1 for i in group[: max(1, round(len(group) * HELD_OUT))]]
    kept = np.setdiff1d(np.arange(len(labels)), out)
    return kept, np.sort(np.asarray(out, dtype=np.int64))


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """How the images of the training split are divided, by their positions there."""

    train: npt.NDArray[np.int64]  # for training, those in `validation` among them
    validation: npt.NDArray[np.int64] | None  # positions in `train`; None: validation has a split of its own
    test: npt.NDArray[np.int64] | None  # None: test has a split of its own


def divide(labels: Sequence[int], *, has_validation: bool, has_test: bool) -> Division:
    """The division of a training split with these labels, beside the splits that exist."""
    train, test = (np.arange(len(labels)), None) if has_test else held_out(labels)
    validation = None if has_validation else held_out([labels[index] for index in train])[1]
    return Division(train=train, validation=validation, test=test)
