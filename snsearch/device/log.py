"""A device's log of measurements: each model is measured once, each measurement is kept at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snsearch.codec import decode, encode, parse_json
from snsearch.device.board import Board, RunnerOf, open_board
from snsearch.device.conditions import Conditions, Say, Stop
from snsearch.device.measurements import Measurement
from snsearch.device.measuring import Outcome, measure
from snsearch.device.registry import Device, device_folder
from snsearch.device.subjects import Subject
from snsearch.errors import DeviceError
from snsearch.files import faults_as


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementLog:
    """The measurements of one device: a file of JSON lines that only grows."""

    path: Path

    def add(self, measurement: Measurement) -> None:
        """Adds a measurement, on disk when it returns. Raises DeviceError if the file cannot be written."""
        line = json.dumps(encode(measurement), allow_nan=False) + "\n"
        with faults_as(DeviceError, f"{str(self.path)!r} cannot be written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                # Start a new line after one that a crash or a full disk cut off.
                if file.tell() and self.path.read_bytes()[-1:] != b"\n":
                    line = "\n" + line
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())

    def read(self) -> tuple[Measurement, ...]:
        """All measurements, the oldest first, without lines that were cut off.

        Raises DeviceError if the file cannot be read, or has a measurement of an unknown schema.
        """
        if not self.path.exists():
            return ()
        with faults_as(DeviceError, f"{str(self.path)!r} cannot be read"):
            text = self.path.read_text(encoding="utf-8", errors="replace")
        found = []
        for line in text.splitlines():
            try:
                values = parse_json(line)
            except ValueError:
                continue
            if isinstance(values, dict):
                found.append(decode(Measurement, values, "a measurement", error=DeviceError))
        return tuple(found)


def latest(
    measurements: Sequence[Measurement], artefact: str, conditions: Conditions, *, identity: str = ""
) -> Measurement | None:
    """The last measurement of a model under these conditions that need not be repeated; None if there is none.

    Refused ones do not count. Without an identity or a core, any matches.
    """
    for one in reversed(measurements):
        if (
            one.artefact == artefact
            and one.sustained_minutes == conditions.sustained_minutes
            and one.verdict != "refused"
            and identity in ("", one.host.identity)
            and conditions.core in (None, one.host.core)
        ):
            return one
    return None


def log_of(device: Device) -> MeasurementLog:
    """A device's log."""
    return MeasurementLog(path=device_folder(device.name) / "measurements.jsonl")


def known_of(device: Device, subjects: Sequence[Subject], conditions: Conditions) -> dict[str, Measurement]:
    """The measurements of these models that need not be repeated, by artefact."""
    kept = log_of(device).read()
    asked = conditions if conditions.core is not None else replace(conditions, core=device.core)
    found = {one.artefact: latest(kept, one.artefact, asked, identity=device.identity) for one in subjects}
    return {artefact: one for artefact, one in found.items() if one is not None}


def measure_once(
    device: Device,
    subjects: Sequence[Subject],
    reference: Subject,
    runner_of: RunnerOf,
    *,
    conditions: Conditions | None = None,
    again: bool = False,
    on_board: Callable[[Board], None] = lambda board: None,
    say: Say = lambda text: None,
    stop: Stop = lambda: False,
) -> Iterator[Outcome]:
    """Every model's measurement: from the device's log if it is there, else from the device, and then logged.

    Args:
        again: measure all of them, whatever the log holds.
        on_board: called with the board if the device is reached, which only a missing measurement asks for.

    Raises DeviceError and KeyboardInterrupt as `measure` does; by then the log holds every measurement it yielded.
    """
    asked = conditions or Conditions()
    first: dict[str, Subject] = {subject.artefact: subject for subject in reversed(subjects)}
    known = {} if again else known_of(device, subjects, asked)
    yield from (known[artefact] for artefact in reversed(first) if artefact in known)
    missing = [subject for artefact, subject in reversed(first.items()) if artefact not in known]
    if not missing:
        return
    log = log_of(device)
    with open_board(device, runner_of) as board:
        on_board(board)
        for one in measure(board, missing, reference, conditions=asked, say=say, stop=stop):
            if isinstance(one, Measurement):
                log.add(one)
            yield one
