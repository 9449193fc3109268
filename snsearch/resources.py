"""Where the bundled spaces/, budgets/, profiles/ and cpus/ are: inside the package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from snsearch.errors import SnsearchError

Kind = Literal["spaces", "budgets", "profiles", "cpus"]


def bundled_folder(kind: Kind) -> Path:
    """The folder of the bundled TOML files of that kind.

    Raises SnsearchError where the installation is incomplete.
    """
    package = Path(__file__).parent
    for folder in (package / kind, package.parent / kind):
        if folder.is_dir() and any(folder.glob("*.toml")):
            return folder
    raise SnsearchError(f"the bundled {kind}/ are missing from this installation; install snsearch again")


def bundled_names(kind: Kind) -> tuple[str, ...]:
    """The names of the bundled files of that kind, sorted, without ".toml"."""
    return tuple(sorted(path.stem for path in bundled_folder(kind).glob("*.toml")))
