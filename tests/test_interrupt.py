"""Signals: the first asks, the second insists, and the old handlers come back."""

from __future__ import annotations

import os
import signal

import pytest

from snsearch.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_raises(number: int) -> None:
    heard: list[str] = []
    before = signal.getsignal(number)
    with stop_on_signals(lambda: heard.append("asked")) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert heard == ["asked"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert heard == ["asked"]


def test_signals_that_are_not_named_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(numbers=(signal.SIGTERM,)) as stop:
        assert signal.getsignal(signal.SIGINT) is before
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
