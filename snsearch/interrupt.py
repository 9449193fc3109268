"""Stopping at a safe point: signals ask, the work looks.

An exception that a signal handler raises may land anywhere, in the middle of a database's transaction or in a
finaliser that swallows it. So the first signal only sets a flag; a second one raises KeyboardInterrupt at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals(
    asked: Callable[[], None] | None = None, numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)
) -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether one of the signals has come; calls `asked` when the first does.

    The handlers that stood before are put back at the end. To be entered in the main thread.
    """
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        if asked is not None:
            asked()

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
