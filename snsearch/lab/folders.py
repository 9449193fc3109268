"""Where reference sets are: those that come with snsearch, and folders. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from snsearch.errors import StudyError
from snsearch.files import is_file

SHIPPED = Path(__file__).parent / "references"


def shipped_sets() -> tuple[str, ...]:
    """The names of the sets that come with snsearch."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob("*/set.json")))


def find_set(text: str) -> Path | None:
    """The folder of a shipped set's name, or of a path; None if there is none."""
    return next((folder for folder in (Path(text), SHIPPED / text) if is_file(folder / "set.json")), None)


def set_folder(text: str) -> Path:
    """The folder of a shipped set's name, or of a path. Raises StudyError if there is none."""
    if (folder := find_set(text)) is None:
        known = ", ".join(shipped_sets()) or "none"
        raise StudyError(f"no reference set {text!r}: expected a folder with a set.json, or one of these: {known}")
    return folder
