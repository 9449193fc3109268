"""Stopping at a safe point: a signal sets a flag, and the work checks it.

An exception from a signal handler may be raised anywhere, within a database transaction or in a finaliser that
swallows it. So the first signal only sets a flag; the second raises KeyboardInterrupt at once.
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
    """Yields a function that tells whether a signal has arrived. Restores the earlier handlers at the end.

    Args:
        asked: is called at the first signal.
        numbers: the signals.

    Raises:
        ValueError: not in the main thread.
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
