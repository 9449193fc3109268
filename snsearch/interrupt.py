"""Stopping at a safe point: a signal sets a flag, and the work checks it.

An exception from a signal handler may be raised anywhere, within a database transaction or in a finaliser that
swallows it. So the first signal only sets a flag; the second raises KeyboardInterrupt at once.
"""

from __future__ import annotations

import signal
import threading
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

    Signals reach the main thread only: in another thread, nothing asks to stop.
    """
    stopping = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

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


@contextmanager
def resumable(asked: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """As stop_on_signals, for work that the same command goes on with; the KeyboardInterrupt says so."""
    try:
        with stop_on_signals(asked) as stop:
            yield stop
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on from here") from None
