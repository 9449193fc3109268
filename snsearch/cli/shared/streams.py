"""Standard streams that may be closed, full, gone or without UTF-8."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class _Output(io.FileIO):
    """A stream whose reader may go away; where nothing hangs on it, it may fail altogether."""

    def __init__(self, number: int, dropped: tuple[type[OSError], ...]) -> None:
        super().__init__(number, "w", closefd=False)
        self._dropped = dropped

    def write(self, data: Any) -> int:
        """Writes all, or drops it: where nobody is there to read it, and what is left behind an error."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            if not isinstance(error, self._dropped):
                self._dropped = (OSError,)  # the error is told once, not at the end again
                raise OSError(error.errno, error.strerror, "standard output") from None
        return size


def set_up_streams() -> bool:
    """Sets up this process's own streams; False where a caller has put others in their place, which are left alone.

    A reader of stdout that goes away is no error, nor is a terminal that was closed; a full disk is one. Progress on
    stderr is dropped where it cannot be written. A stream that is closed swallows everything.
    """
    streams = {0: ("stdin", "r"), 1: ("stdout", "w"), 2: ("stderr", "w")}
    if any(getattr(sys, name) is not getattr(sys, f"__{name}__") for name, _ in streams.values()):
        return False
    for number, (name, mode) in streams.items():
        stream = getattr(sys, name)
        if stream is None:
            _open_null(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        elif mode == "w":
            direct = name == "stderr" or stream.isatty()
            output: Any = _Output(number, (OSError,) if direct else (BrokenPipeError,))
            # Unbuffered, what a signal's handler says may come in the middle of a line.
            buffer = output if direct else io.BufferedWriter(output)
            text = io.TextIOWrapper(buffer, stream.encoding, "backslashreplace", write_through=direct)
            setattr(sys, name, text)
    return True


def _open_null(number: int) -> None:
    """Opens the null device under that number, so that no database gets it."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    os.set_inheritable(number, True)
