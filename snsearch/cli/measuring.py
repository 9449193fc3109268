"""What commands that measure share: a session that shows itself, keeps what it has, and says how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.cli.shared.console import printable, say
from snsearch.device import Measurement, Unmeasured
from snsearch.errors import DeviceError, StudyError
from snsearch.interrupt import stop_on_signals

if TYPE_CHECKING:
    from rich.table import Table

    from snsearch.device import Board, Device
    from snsearch.network import Architecture
    from snsearch.study import StudyRecord

Outcome = Measurement | Unmeasured


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the user asked of a session."""

    device: Device
    again: bool = False
    core: int | None = None
    sustained_minutes: float | None = None
    runner: Path | None = None

    @property
    def own_runner(self) -> Path | None:
        """The runner that the user named, for this time or for the device."""
        return self.runner or self.device.own_runner


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What a session has, and why it ended early."""

    outcomes: tuple[Outcome, ...]
    fault: DeviceError | None = None
    interrupted: bool = False

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What was measured, or known."""
        return tuple(one for one in self.outcomes if isinstance(one, Measurement))

    def end(self) -> None:
        """Ends the command as the session ended. Raises DeviceError, KeyboardInterrupt."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.fault is not None:
            raise self.fault
        lost = [one for one in self.outcomes if isinstance(one, Unmeasured) or one.verdict == "refused"]
        if lost:
            raise DeviceError(
                f"{len(lost)} of {len(self.outcomes)} networks have no latency; the reasons stand above"
            )


def session(
    asked: Asked, archs: Sequence[Architecture], keep: Callable[[Measurement], None] = lambda one: None
) -> Session:
    """Measures architectures on a device, what is known left out; each is kept as soon as it is there."""
    from snsearch.device import Conditions, measure_once, network_subject, reference_subject, runners_of
    from snsearch.engine import engine_of

    outcomes: list[Outcome] = []
    engine = engine_of(asked.device.engine)
    unique = list(dict.fromkeys(archs))
    try:
        with stop_on_signals(lambda: say("stopping at the next step; once more ends at once")) as stop:
            for one in measure_once(
                asked.device,
                [network_subject(arch, engine) for arch in unique],
                reference_subject(engine),
                runners_of(asked.device, asked.runner),
                again=asked.again,
                conditions=Conditions(core=asked.core, sustained_minutes=asked.sustained_minutes),
                on_board=_show_board,
                say=say,
                stop=stop,
            ):
                outcomes.append(one)
                if isinstance(one, Measurement):
                    keep(one)
                say(f"{len(outcomes)} of {len(unique)}: {words_of(one)}")
    except KeyboardInterrupt:
        return Session(outcomes=tuple(outcomes), interrupted=True)
    except DeviceError as error:
        return Session(outcomes=tuple(outcomes), fault=error)
    return Session(outcomes=tuple(outcomes))


def study_architectures(url: str, name: str, *, everything: bool = False) -> list[Architecture]:
    """The candidates of a study that are worth measuring, or all that were trained. Raises StudyError."""
    from snsearch.study import read_study

    return _architectures(read_study(url, name), everything)


def _architectures(record: StudyRecord, everything: bool) -> list[Architecture]:
    from snsearch.pages import worth_measuring

    chosen = record.candidates if everything else worth_measuring(record)
    archs = [trial.architecture for trial in chosen if trial.architecture is not None]
    if not archs:
        raise StudyError(f"the study {record.name!r} has no trained candidate yet")
    return archs


def study_session(url: str, name: str, asked: Asked, *, everything: bool = False) -> Session:
    """Measures a study's candidates, and keeps what is measured in the study too. Raises StudyError."""
    from snsearch.pages import keep_measurement, measurements_of
    from snsearch.study import read_study

    record = read_study(url, name)
    archs = _architectures(record, everything)
    there = set(measurements_of(record))

    def keep(one: Measurement) -> None:
        if one not in there:
            keep_measurement(url, name, one)

    return session(asked, archs, keep)


def words_of(one: Outcome) -> str:
    """An outcome in a line."""
    if isinstance(one, Unmeasured):
        return f"{one.subject.name}: not measured: {one.reason}"
    return f"{one.subject}: {latency_words(one)}" + (f" ({one.why})" if one.reasons else "")


def latency_words(one: Measurement) -> str:
    """The latency with its verdict; never a number where it is none."""
    if one.latency_ms is None:
        return "emulated: not a latency" if one.verdict == "emulated" else "refused"
    stats = one.statistics
    return f"{stats.median_ms:.3g} ms [{stats.low_ms:.3g}, {stats.high_ms:.3g}] {one.verdict}"


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """The outcomes for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("network")
    for name in ("ms", "95 % interval", "runs", "outliers", "parity"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for one in outcomes:
        if isinstance(one, Unmeasured):
            table.add_row(escape(one.subject.name), "", "", "", "", "", escape(f"not measured: {one.reason}"))
            continue
        figures = ["", "", "", ""]
        if one.latency_ms is not None:
            stats = one.statistics
            interval = f"{stats.low_ms:.3f} to {stats.high_ms:.3f}"
            figures = [f"{stats.median_ms:.3f}", interval, str(stats.samples), _outliers(one)]
        verdict = "emulated: not a latency" if one.verdict == "emulated" else one.verdict
        reasons = f": {one.why}" if one.reasons else ""
        table.add_row(escape(one.subject), *figures, f"{one.parity:.0e}", escape(printable(verdict + reasons)))
    return table


def _outliers(one: Measurement) -> str:
    stats = one.statistics
    return f"{stats.outliers}, up to {stats.most_ms:.3f}" if stats.outliers else "0"


def _show_board(board: Board) -> None:
    because = board.emulated_because
    probe = board.probe
    engine = f"{probe.engine} {probe.engine_version} ({probe.runner})"
    say(f"{board.device.name}: {probe.soc or 'unknown SoC'}, {probe.machine}, {engine}")
    if because is not None:
        say(f"emulated: {because}; parity is checked, and no time is a latency")
