"""Files that others see whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside the file to write to; what is there when the block ends takes the file's place in one step.

    The folder is made where it is missing. Where the block raises, the file is as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes or threads that write the same file do not meet; one that is killed leaves its own behind.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file, text as UTF-8, so that nobody sees half of it. Raises OSError."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
