"""Where studies are: names, folders and storage URLs. Loads no torch, so that a wrong name is told at once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from snsearch.codec import near
from snsearch.errors import MissingStudyError, StudyError
from snsearch.files import is_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A study's storage, its name there, and the folder of its page."""

    url: str
    name: str | None  # None: the storage's only one
    folder: Path

    @property
    def page(self) -> Path:
        """The study's page."""
        return self.folder / "report.html"


def search_place(
    study: str | None,
    storage: str | None,
    out: Path,
    *,
    space: str,
    budget: str | None,
    data: str,
    latency: float | None = None,
    confidence: float | None = None,
    profile: str | None = None,
    device: str | None = None,
) -> Place:
    """The place of a study that is made or resumed, named by its space, budget and data where it has no name.

    A latency in milliseconds is a part of the budget, with the profile or device that predicts it. Raises StudyError
    for a name that is no plain file name, and for a storage that is no URL.
    """
    words = [] if budget is None else [budget.strip() if is_number(budget) else Path(budget).stem]
    if latency is not None:
        words += [f"{latency:g}ms", *(["95"] if confidence else []), Path(profile or device or "").stem]
    name = study if study is not None else default_name(space, "-".join(filter(None, words)), data)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise StudyError(
            f"study name {name!r}: expected up to 100 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        )
    folder = out / name
    _check_url(storage)
    return Place(url=storage or _url_of(folder / "study.db"), name=name, folder=folder)


def _url_of(file: Path) -> str:
    from snsearch.study import sqlite_url

    return sqlite_url(file)


def _check_url(storage: str | None) -> None:
    """Raises StudyError for a storage that cannot be one, before anything is read or trained."""
    if storage is not None:
        from snsearch.study import sqlite_file

        sqlite_file(storage)


def default_name(space: str, budget: str, data: str) -> str:
    """A study name such as shufflenet-v1-40-fashion-mnist; of a budget in words such as "40" or "25ms-my-phone"."""
    argument = data.partition(":")[2] or data
    parts = (Path(space).stem, budget.strip(), Path(argument).name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.")[:90]
    # A name that lost letters could be another's too.
    lost = re.sub(r"[A-Za-z0-9._ /-]+", "", "".join(parts))
    return f"{name}-{hashlib.sha256(data.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}" if lost else name


def is_number(text: str) -> bool:
    """Whether a budget's text is a bare number of MFLOPs."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _databases(text: str, out: Path) -> tuple[Path, ...]:
    """The files that a study's text may name: a study.db, the one of a folder, the one of a name in `out`."""
    return Path(text), Path(text) / "study.db", out / text / "study.db"


def place_of(study: str | None, storage: str | None, out: Path) -> Place:
    """The place of a study that exists.

    Args:
        study: a name, a folder or a study.db; None: the only one in `out`, or in the storage.
        storage: URL of the storage; None: SQLite in the study's folder.
        out: folder of the studies' folders.

    Raises:
        StudyError: no file of that study exists, or `out` holds several.
    """
    if storage is not None:
        _check_url(storage)
        return Place(url=storage, name=study, folder=out / study if study else out)
    if study is None:
        found = study_names(out)
        if len(found) != 1:
            held = f"{out} holds {len(found)} studies ({', '.join(found)})" if found else f"{out} holds no study"
            raise (StudyError if found else MissingStudyError)(f"{held}; name one")
        path = out / found[0] / "study.db"
    else:
        files = _databases(study, out)
        path = next((path for path in files if is_file(path)), Path())
        if path == Path():
            check_trial(study, out)
            meant = near(Path(study).name, study_names(out))
            raise MissingStudyError(
                f"there is no study {study!r}, neither here nor in {str(out)!r}{meant}; expected a name, a folder or "
                "a study.db"
            )
    return Place(url=_url_of(path), name=None, folder=path.parent)


def split_trial(text: str) -> tuple[str, int] | None:
    """The study and the trial's number that "STUDY#TRIAL" names; None for another text."""
    match = re.fullmatch(r"(.+)#(\d{1,9})", text)
    return None if match is None else (match[1], int(match[2]))


def check_trial(text: str, out: Path) -> None:
    """Raises StudyError for "STUDY#WORD" of a study that exists, where the word is no number."""
    study, _, trial = text.rpartition("#")
    if study and not trial.isdecimal() and names_a_study(study, None, out) and not names_a_study(text, None, out):
        raise StudyError(f"{text!r}: {trial!r} is no trial's number; expected a number, such as {study}#0")


def study_names(out: Path) -> list[str]:
    """The names of the studies in a folder."""
    return sorted(path.parent.name for path in out.glob("*/study.db"))


def names_a_study(text: str, storage: str | None, out: Path) -> bool:
    """Whether a text names a study rather than a space, an architecture or a file of architectures."""
    if storage is not None:
        return True
    file, *databases = _databases(text, out)
    return file.suffix == ".db" if is_file(file) else any(map(is_file, databases))
