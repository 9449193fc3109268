"""Signals: the first asks, the second insists, and the old handlers come back."""

from __future__ import annotations

import os
import signal

import pytest

from snsearch.interrupt import EndNow, ended_by_signals, held_signals, release_signals, resumable, stop_on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_and_the_second_raises(number: int) -> None:
    heard: list[str] = []
    before = signal.getsignal(number)
    with stop_on_signals(lambda: heard.append("asked")) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert heard == ["asked"]
        with pytest.raises(EndNow):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert heard == ["asked"]


@pytest.mark.parametrize("sent", [1, 2])
def test_an_interruption_of_resumable_work_says_so_and_stays_what_it_is(sent: int) -> None:
    def work() -> None:
        with resumable(lambda: None) as stop:
            for _ in range(sent):
                os.kill(os.getpid(), signal.SIGINT)
            assert stop()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command goes on from here") as raised:
        work()
    assert isinstance(raised.value, EndNow) == (sent == 2)


def test_a_terminals_end_is_ignored_where_nohup_says_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        for context in (stop_on_signals(), ended_by_signals()):
            with context:
                assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
                os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_interrupts_a_command(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_signals_are_held_back_until_they_are_let_through() -> None:
    # Sent to this thread: held back in one thread, a signal to the process reaches another.
    with stop_on_signals() as stop:
        with held_signals():
            signal.raise_signal(signal.SIGTERM)
            assert not stop()
            release_signals()
            assert stop()
        with pytest.raises(EndNow), held_signals():
            signal.raise_signal(signal.SIGTERM)
