"""A device's measurements: what is known is not measured again, and what is measured is kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from snsearch.device.board import Board, RunnerOf, open_board
from snsearch.device.measurements import Measurement, MeasurementLog, latest
from snsearch.device.measuring import Effort, Say, Subject, Unmeasured, measure
from snsearch.device.registry import Device, device_folder
from snsearch.engine import Precision


def log_of(device: Device) -> MeasurementLog:
    """The log of what was measured on a device."""
    return MeasurementLog(path=device_folder(device.name) / "measurements.jsonl")


def known_of(
    device: Device,
    subjects: Sequence[Subject],
    *,
    core: int | None = None,
    precision: Precision = "float32",
    sustained_minutes: float | None = None,
) -> dict[str, Measurement]:
    """Of some models the measurements that need not be made again, by artefact."""
    kept = log_of(device).read()
    found = {
        subject.artefact: latest(
            kept,
            artefact=subject.artefact,
            precision=precision,
            sustained_minutes=sustained_minutes,
            identity=device.identity,
            core=device.core if core is None else core,
        )
        for subject in subjects
    }
    return {artefact: one for artefact, one in found.items() if one is not None}


def measure_once(
    device: Device,
    subjects: Sequence[Subject],
    reference: Subject,
    runner_of: RunnerOf,
    *,
    again: bool = False,
    core: int | None = None,
    precision: Precision = "float32",
    effort: Effort | None = None,
    sustained_minutes: float | None = None,
    on_board: Callable[[Board], None] = lambda board: None,
    say: Say = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Measurement | Unmeasured]:
    """Every model's measurement: from the device's log where it is there, else from the device, and then kept.

    The device is reached only where something is missing; `on_board` hears of it. With `again` all are measured.
    Raises DeviceError and KeyboardInterrupt as `measure` does; what was yielded is in the log by then.
    """
    first: dict[str, Subject] = {subject.artefact: subject for subject in reversed(subjects)}
    known = (
        {}
        if again
        else known_of(device, subjects, core=core, precision=precision, sustained_minutes=sustained_minutes)
    )
    yield from (known[artefact] for artefact in reversed(first) if artefact in known)
    missing = [subject for artefact, subject in reversed(first.items()) if artefact not in known]
    if not missing:
        return
    log = log_of(device)
    with open_board(device, runner_of) as board:
        on_board(board)
        for one in measure(
            board,
            missing,
            reference,
            effort=effort,
            sustained_minutes=sustained_minutes,
            core=core,
            precision=precision,
            say=say,
            stop=stop,
        ):
            if isinstance(one, Measurement):
                log.add(one)
            yield one
