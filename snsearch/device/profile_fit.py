"""A device's own latency profile: measures its plan, fits rates, judges them on held-out networks.

The plan's networks are held out in turn, an eighth at a time; operators, blocks and networks of other spaces are in
every fit. All measurements go through the device's log, so an interrupted profile can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snsearch.device.board import Board, RunnerOf
from snsearch.device.conditions import Conditions, Effort, Say, Stop
from snsearch.device.log import measure_once
from snsearch.device.measurements import Measurement
from snsearch.device.profile_plan import Piece, Plan
from snsearch.device.profile_samples import Thing, fit_own, samples_of
from snsearch.device.registry import Device
from snsearch.device.subjects import Subject, block_subject, network_subject, reference_subject
from snsearch.engine import NCNN, Engine, engine_of
from snsearch.errors import DeviceError
from snsearch.latency import Calibration, Profile, Sample, profile_of

FEWEST_NETWORKS = 24  # minimum valid networks for a profile
EFFORT = Effort(seconds=0.7, warmup_runs=3, warmup_ms=100, batch=12, cool_down_s=24.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProfile:
    """A device's profile and what it was fitted on."""

    profile: Profile
    calibration: Calibration
    samples: tuple[Sample, ...]
    flagged: int  # measurements that were disturbed; the fit includes them
    left_out: tuple[str, ...]  # what was not measured, or refused, with the reason


def subject_of(thing: Thing, engine: Engine = NCNN) -> Subject:
    """The model of a network or a piece."""
    if isinstance(thing, Piece):
        return block_subject(thing.name, thing.ops, engine)
    return network_subject(thing, engine)


def make_profile(
    device: Device,
    plan: Plan,
    runner_of: RunnerOf,
    *,
    conditions: Conditions | None = None,
    again: bool = False,
    say: Say = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Stop = lambda: False,
) -> OwnProfile:
    """Measures what the device's log lacks of the plan, fits, and returns the profile.

    Args:
        progress: called with the number of things measured and their total.

    Raises:
        DeviceError: the device fails, is emulated or counted, or has too few valid measurements.
        KeyboardInterrupt: `stop` returned true. Completed measurements stay in the log.
    """
    if device.is_counted:
        raise DeviceError(f"{device.name} counts and has no latency of its own; its model is fitted on counted costs")
    asked = conditions or Conditions()
    engine = engine_of(device.engine)
    things: dict[str, Thing] = {}
    subjects: list[Subject] = []
    for thing in plan.things:
        subject = subject_of(thing, engine)
        if things.setdefault(subject.artefact, thing) is thing:
            subjects.append(subject)
    found = measure_once(
        device,
        subjects,
        reference_subject(engine),
        runner_of,
        conditions=asked if asked.effort else replace(asked, effort=EFFORT),
        again=again,
        on_board=refuse_emulated,
        say=say,
        stop=stop,
    )
    measured: dict[str, Measurement] = {}  # by artefact
    left_out: list[str] = []
    for done, one in enumerate(found, start=1):
        if not isinstance(one, Measurement):
            left_out.append(f"{one.subject.name}: {one.reason}")
        elif one.verdict == "emulated":
            raise _emulated(device, one.why)
        elif one.latency_ms is None:
            left_out.append(f"{one.subject}: {one.why}")
        else:
            measured[one.artefact] = one
        progress(done, len(subjects))
    kept = tuple(measured.values())
    _check_alike(device, kept)
    samples = samples_of(plan, things, measured)
    _check_enough(device, samples, plan, left_out)
    calibration = fit_own(samples)
    flagged = sum(one.verdict == "flagged" for one in kept)
    return OwnProfile(
        profile=profile_of(calibration, **_about(device, kept, samples, flagged, left_out)),
        calibration=calibration,
        samples=samples,
        flagged=flagged,
        left_out=tuple(left_out),
    )


def refuse_emulated(board: Board) -> None:
    """Raises DeviceError if the board's times are no latencies."""
    if board.probe.emulated_because is not None:
        raise _emulated(board.device, board.probe.emulated_because)


def _emulated(device: Device, why: str) -> DeviceError:
    return DeviceError(
        f"{device.name} is emulated ({why}): times under emulation mean nothing, so no profile can be made of them; "
        "use the real device, a bundled profile (`snsearch profiles`), or counted://cortex-a72"
    )


def _check_alike(device: Device, measured: Iterable[Measurement]) -> None:
    """Raises DeviceError for measurements with several libraries or kinds of core: their rates differ."""
    settings = {f"{_library(one)} on {_speed(one) or f'core {one.host.core}'}" for one in measured}
    if len(settings) > 1:
        raise DeviceError(
            f"{device.name}: its log holds measurements of {' and of '.join(sorted(settings))}, which make no common "
            "profile; measure them again with --again, or choose one --core"
        )


def _check_enough(device: Device, samples: Sequence[Sample], plan: Plan, left_out: Sequence[str]) -> None:
    """Raises DeviceError if too few of the plan's networks have a latency."""
    networks = sum(sample.role == "judged" for sample in samples)
    if networks < min(FEWEST_NETWORKS, len(plan.networks)):
        raise DeviceError(
            f"{device.name}: only {networks} of {len(plan.networks)} networks have a valid measurement; expected at "
            f"least {FEWEST_NETWORKS}. The first one left out: {left_out[0]}. Stop other programs on the device, "
            "then give the same command again: valid measurements are not repeated"
        )


def _about(
    device: Device, kept: Sequence[Measurement], samples: Sequence[Sample], flagged: int, left_out: Sequence[str]
) -> dict[str, Any]:
    """The fields of the profile that say what it is of."""
    host = kept[0].host
    days = sorted({one.measured[:10] for one in kept})
    note = f"{flagged} of {len(kept)} measurements were disturbed and flagged"
    note += f"; {len(left_out)} were refused or failed, and left out." if left_out else "."
    judged = [sample.name for sample in samples if sample.role == "judged"]
    pieces = f"{len(samples) - len(judged)} operators, blocks and networks of other spaces"
    return {
        "name": device.name,
        "device": f"{host.soc or device.name} ({host.machine})",
        "core": ", ".join(filter(None, (f"core {host.core}", _speed(kept[0])))),
        "library": ", ".join(sorted(set(map(_library, kept)))),
        "threads": 1,
        "precision": kept[0].precision,
        "figures": "measured",
        "source": f"measured on the device, {days[0]}" + ("" if len(days) == 1 else f" to {days[-1]}"),
        "note": note,
        "fitted_on": (pieces, *judged),
    }


def _library(one: Measurement) -> str:
    return f"{one.host.library} ({one.host.runner})"


def _speed(one: Measurement) -> str:
    """The highest frequency of the core; "" if unknown."""
    return "" if one.host.core_max_khz is None else f"{one.host.core_max_khz / 1e6:.2f} GHz"
