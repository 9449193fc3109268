"""Measuring or counting networks on a device: one call for both, and for a study's candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from snsearch.device import (
    Board,
    Conditions,
    CountedNetwork,
    Device,
    Measurement,
    Unmeasured,
    cpu_of,
    measure_once,
    network_subject,
    open_counter,
    reference_subject,
    runners_of,
)
from snsearch.engine import engine_of, write_model
from snsearch.errors import DeviceError, StudyError
from snsearch.interrupt import stop_on_signals
from snsearch.network import AnyNetwork, OpGraph
from snsearch.pages import keep_counts, keep_measurement, measurements_of, worth_measuring
from snsearch.study import Observer, StudyRecord

Outcome = Measurement | Unmeasured | CountedNetwork


def outcomes_of(
    archs: Sequence[AnyNetwork],
    device: Device,
    observer: Observer,
    keep: Callable[[Outcome], None] = lambda outcome: None,
    *,
    again: bool = False,
    conditions: Conditions | None = None,
    runner: Path | None = None,
) -> tuple[Outcome, ...]:
    """What was measured or counted of each network; what is known is not measured again unless asked.

    `keep` and the observer hear of each as soon as it is there. Raises DeviceError, and KeyboardInterrupt if the
    user stopped it.
    """
    outcomes: list[Outcome] = []
    unique = list(dict.fromkeys(archs))
    with stop_on_signals(observer.stopping) as stop:
        source: Iterator[Outcome]
        if device.is_counted:
            source = _counted(unique, device, runner or device.own_runner, again, stop)
        else:
            source = _timed(unique, device, runner, again, conditions or Conditions(), observer, stop)
        for outcome in source:
            keep(outcome)
            outcomes.append(outcome)
            observer.measured(outcome, len(outcomes), len(unique))
    return tuple(outcomes)


def study_outcomes(
    record: StudyRecord,
    device: Device,
    observer: Observer,
    *,
    everything: bool = False,
    again: bool = False,
    conditions: Conditions | None = None,
    runner: Path | None = None,
) -> tuple[Outcome, ...]:
    """Measures the candidates of a study that are worth it, or all, and keeps the figures in the study too.

    Raises StudyError if none is trained, and what outcomes_of raises.
    """
    chosen = record.candidates if everything else worth_measuring(record)
    archs = [trial.architecture for trial in chosen if trial.architecture is not None]
    if not archs:
        raise StudyError(f"the study {record.name!r} has no trained candidate yet")
    there = set(measurements_of(record))

    def keep(outcome: Outcome) -> None:
        if isinstance(outcome, CountedNetwork):
            keep_counts(record.url, record.name, outcome)
        elif isinstance(outcome, Measurement) and outcome not in there:
            keep_measurement(record.url, record.name, outcome)

    return outcomes_of(archs, device, observer, keep, again=again, conditions=conditions, runner=runner)


def _timed(
    archs: Sequence[AnyNetwork],
    device: Device,
    runner: Path | None,
    again: bool,
    conditions: Conditions,
    observer: Observer,
    stop: Callable[[], bool],
) -> Iterator[Measurement | Unmeasured]:
    def on_board(board: Board) -> None:
        probe = board.probe
        engine = f"{probe.engine} {probe.engine_version} ({probe.runner})"
        observer.said(f"{device.name}: {probe.soc or 'unknown SoC'}, {probe.machine}, {engine}")
        if (because := probe.emulated_because) is not None:
            observer.said(f"emulated: {because}; parity is checked, and no time is a latency")

    engine = engine_of(device.engine)
    return measure_once(
        device,
        [network_subject(arch, engine) for arch in archs],
        reference_subject(engine),
        runners_of(device, runner),
        again=again,
        conditions=conditions,
        on_board=on_board,
        say=observer.said,
        stop=stop,
    )


def _counted(
    archs: Sequence[AnyNetwork], device: Device, runner: Path | None, again: bool, stop: Callable[[], bool]
) -> Iterator[CountedNetwork]:
    core = cpu_of(device.url)
    counter = open_counter(core, runner)
    for arch in archs:
        if stop():
            raise KeyboardInterrupt
        record = counter.count(write_model(OpGraph.of(arch).ops), again=again)
        yield CountedNetwork(subject=arch.key, core=core, record=record, kept=datetime.now(UTC).isoformat())


def measure_found(record: StudyRecord, device: Device, later: str, observer: Observer) -> None:
    """Measures or counts the front and the finalists of a search that has ended.

    Raises DeviceError if the device fails; a machine that cannot count still has its study. `later` is the
    command that measures afterwards.
    """
    if not record.candidates:
        return
    try:
        study_outcomes(record, device, observer)
    except DeviceError as error:
        if device.is_counted:
            observer.said(f"not all candidates are counted: {error}")
            observer.said(f"Later: {later}")
            return
        observer.said(f"not all candidates are measured; the page is written without. Later: {later}")
        raise
