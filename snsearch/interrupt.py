"""Stopping at a safe point: a signal sets a flag, and the work checks it.

An exception from a signal handler may be raised anywhere, within a database transaction or in a finaliser that
swallows it. So the first signal only sets a flag; the second raises EndNow at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, the end that a system asks for, and a terminal that was closed, where there is such a signal.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class EndNow(KeyboardInterrupt):
    """A second signal: what is under way is dropped."""


@contextmanager
def stop_on_signals(asked: Callable[[], None] | None = None) -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether a signal has arrived. Restores the earlier handlers at the end.

    Args:
        asked: is called at the first signal.

    Signals reach the main thread only: in another thread, nothing asks to stop.
    """
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise EndNow
        stopping = True
        if asked is not None:
            asked()

    with _handled_by(handle, SIGNALS):
        yield lambda: stopping


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP a KeyboardInterrupt, as Ctrl-C is one."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(handle, SIGNALS[1:]):
        yield


@contextmanager
def _handled_by(handle: Callable[[int, FrameType | None], None], numbers: Sequence[int]) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            # A terminal's end is ignored where nohup says so.
            if number in SIGNALS[:2] or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_signals() -> Iterator[None]:
    """Holds signals back; a process that is started in here holds them until it calls `release_signals`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release_signals() -> None:
    """Lets the signals through that this process was started without."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def resumable(asked: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """As stop_on_signals, for work that the same command goes on with; the KeyboardInterrupt says so."""
    try:
        with stop_on_signals(asked) as stop:
            yield stop
    except KeyboardInterrupt as error:
        raise type(error)("interrupted; the same command goes on from here") from None
