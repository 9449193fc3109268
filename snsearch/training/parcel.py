"""What all calls of an executor need, on its way to other processes."""

from __future__ import annotations

import pickle  # nosec B403
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

from snsearch.files import whole_file


class Parcel:
    """A value that goes along with every call, and costs a call a few bytes.

    Within this process it is handed on as it is. Pickled, it is a path: the value is written there once, when it is
    first pickled, and every process that unpickles it reads it once. The path lies where all machines see it.
    """

    def __init__(self, value: Any, folder: Path) -> None:
        self.value = value
        # A name of its own: processes that outlive this search must not take its value for another's.
        self._path = folder.absolute() / f"shared-{uuid.uuid4().hex}.pickle"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._path.exists():
            with whole_file(self._path) as partial, partial.open("wb") as file:
                pickle.dump(self.value, file, protocol=pickle.HIGHEST_PROTOCOL)
        return _read, (str(self._path),)

    def discard(self) -> None:
        """Removes the file."""
        self._path.unlink(missing_ok=True)


@lru_cache(maxsize=1)  # a process works for one search at a time
def _read(path: str) -> Any:
    with Path(path).open("rb") as file:
        return pickle.load(file)  # noqa: S301  # nosec B301  # its path came in a pickle of the same sender
