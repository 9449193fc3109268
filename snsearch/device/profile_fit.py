"""A device's own latency profile: what is measured for it, fitted, and judged by networks that were kept out.

The networks of the plan are kept out in their turn, an eighth at a time; operators, blocks and networks of other
spaces are always fitted on. Everything goes through the device's log, so that what was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from snsearch.device.board import Board, RunnerOf
from snsearch.device.log import measure_once
from snsearch.device.measurements import Measurement, statistics_of
from snsearch.device.measuring import Effort, Say, Subject
from snsearch.device.profile_plan import Piece, Plan
from snsearch.device.registry import Device
from snsearch.device.subjects import block_subject, network_subject, reference_subject
from snsearch.engine import NCNN, Engine, Precision, engine_of
from snsearch.errors import DeviceError
from snsearch.latency import (
    FORMS,
    KERNEL_FORMS,
    Calibration,
    Profile,
    Sample,
    block_kernel_terms,
    calibrate,
    network_kernel_terms,
    network_terms,
    ops_terms,
    profile_of,
)
from snsearch.network import Architecture, Op, count_macs, op_macs

FOLDS = 8
PIECE_WEIGHT = 0.1  # of an operator or a block, where a network has 1: alone, it finds its data in the cache
FEWEST_NETWORKS = 24  # whose measurements stand, for a profile
EFFORT = Effort(seconds=0.7, warmup_runs=3, warmup_ms=100, batch=12, cool_down_s=24.0)
# Plain quantities compete too: where a library does otherwise than ncnn, fewer rates err less.
OWN_FORMS = (*(form for form in FORMS if form.name in ("packing", "activations, inner loops")), *KERNEL_FORMS)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProfile:
    """A device's profile and what it was made of."""

    profile: Profile
    calibration: Calibration
    samples: tuple[Sample, ...]
    flagged: int  # measurements that were disturbed, and fitted on all the same
    left_out: tuple[str, ...]  # what was not measured, or refused, with the reason


def network_sample(arch: Architecture, ms: float, *, judged: bool = True) -> Sample:
    """A network's latency with its terms; kept out in its turn where it is to be judged by."""
    return Sample(
        name=arch.key,
        family=f"g={arch.groups}",
        role="judged" if judged else "piece",
        macs=count_macs(arch),
        pixels=arch.resolution[0] * arch.resolution[1],
        ms=ms,
        terms=network_terms(arch),
        kernel_terms=network_kernel_terms(arch),
    )


def piece_sample(name: str, ops: Sequence[Op], ms: float) -> Sample:
    """The latency of an operator or a block that was measured alone, with its terms."""
    return Sample(
        name=name,
        family="pieces",
        role="piece",
        macs=sum(map(op_macs, ops)),
        pixels=ops[0].height * ops[0].width,
        ms=ms,
        terms=ops_terms(ops),
        kernel_terms=block_kernel_terms(ops),
        weight=PIECE_WEIGHT,
    )


def subject_of(thing: Architecture | Piece, engine: Engine = NCNN) -> Subject:
    """The model of a network or a piece."""
    if isinstance(thing, Piece):
        return block_subject(thing.name, thing.ops, engine)
    return network_subject(thing, engine)


def fit_own(samples: Sequence[Sample]) -> Calibration:
    """The rates of the winning form, and its errors on networks kept out by eighths and by group counts."""
    judged = [sample.name for sample in samples if sample.role == "judged"]
    folds = {name: str(index % FOLDS) for index, name in enumerate(judged)}
    return calibrate(OWN_FORMS, {"own": samples}, fold_of=lambda sample: folds[sample.name])["own"]


def make_profile(
    device: Device,
    plan: Plan,
    runner_of: RunnerOf,
    *,
    again: bool = False,
    core: int | None = None,
    precision: Precision = "float32",
    effort: Effort = EFFORT,
    say: Say = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> OwnProfile:
    """Measures what of the plan the device's log has not, fits, and returns the profile.

    Raises DeviceError where the device fails, is emulated or counted, or too few measurements stand;
    KeyboardInterrupt where `stop` says so. What was measured stays in the log.
    """
    if device.is_counted:
        raise DeviceError(f"{device.name} counts and has no latency of its own; its model is fitted on counted costs")
    engine = engine_of(device.engine)
    things: dict[str, Architecture | Piece] = {}
    subjects: list[Subject] = []
    for thing in plan.things:
        subject = subject_of(thing, engine)
        if things.setdefault(subject.artefact, thing) is thing:
            subjects.append(subject)
    measured: dict[str, Measurement] = {}
    left_out: list[str] = []
    found = measure_once(
        device,
        subjects,
        reference_subject(engine),
        runner_of,
        again=again,
        core=core,
        precision=precision,
        effort=effort,
        on_board=refuse_emulated,
        say=say,
        stop=stop,
    )
    for done, one in enumerate(found, start=1):
        if not isinstance(one, Measurement):
            left_out.append(f"{one.subject.name}: {one.reason}")
        elif one.verdict == "emulated":
            raise DeviceError(_EMULATED.format(name=device.name, why="; ".join(one.reasons)))
        elif one.latency_ms is None:
            left_out.append(f"{one.subject}: {'; '.join(one.reasons)}")
        else:
            measured[one.artefact] = one
        progress(done, len(subjects))
    _check_alike(device, list(measured.values()))
    samples = samples_of(plan, {artefact: things[artefact] for artefact in measured}, measured)
    networks = sum(sample.role == "judged" for sample in samples)
    if networks < min(FEWEST_NETWORKS, len(plan.networks)):
        raise DeviceError(
            f"{device.name}: only {networks} of {len(plan.networks)} networks have a measurement that stands; "
            f"expected at least {FEWEST_NETWORKS}. The first that was left out: {left_out[0]}. Quieten the device, "
            "then give the same command again: what stands is not measured again"
        )
    calibration = fit_own(samples)
    kept = list(measured.values())
    return OwnProfile(
        profile=profile_of(calibration, **_about(device, kept, samples, left_out)),
        calibration=calibration,
        samples=samples,
        flagged=sum(one.verdict == "flagged" for one in kept),
        left_out=tuple(left_out),
    )


_EMULATED = (
    "{name} is emulated ({why}): times under emulation mean nothing, so that no profile can be made of them; use the "
    "real device, a shipped profile (`snsearch profiles`), or counted://cortex-a72"
)


def refuse_emulated(board: Board) -> None:
    """Raises DeviceError where a board's times are no latencies."""
    if board.emulated_because is not None:
        raise DeviceError(_EMULATED.format(name=board.device.name, why=board.emulated_because))


def _check_alike(device: Device, kept: Sequence[Measurement]) -> None:
    """Raises DeviceError where the figures are of more than one library or kind of core: their rates differ."""
    settings = {
        f"{one.host.library} ({one.host.runner}) on "
        + (f"core {one.host.core}" if one.host.core_max_khz is None else f"{one.host.core_max_khz / 1e6:.2f} GHz")
        for one in kept
    }
    if len(settings) > 1:
        raise DeviceError(
            f"{device.name}: its log holds measurements of {' and of '.join(sorted(settings))}, which make no common "
            "profile; measure them anew with --again, or name one --core"
        )


def steady_ms(kept: Sequence[Measurement]) -> dict[str, float]:
    """The latencies by artefact, each over the reference's in the same rounds, times the reference's median in all.

    What slows a device for minutes slows both alike, and would else look like a property of what was measured then.
    """
    references = {one.artefact: statistics_of(one.reference_ns).median_ms for one in kept if one.reference_ns}
    usual = median(references.values()) if references else 1.0
    found = {}
    for one in kept:
        assert one.latency_ms is not None, "refused measurements are left out"
        found[one.artefact] = one.latency_ms * usual / references.get(one.artefact, usual)
    return found


def samples_of(
    plan: Plan, things: dict[str, Architecture | Piece], measured: dict[str, Measurement]
) -> tuple[Sample, ...]:
    """The samples of what was measured, by artefact, in the plan's order."""
    judged = {arch.key for arch in plan.networks}
    samples = []
    steady = steady_ms(list(measured.values()))
    for artefact, thing in things.items():
        ms = steady[artefact]
        if isinstance(thing, Piece):
            samples.append(piece_sample(thing.name, thing.ops, ms))
        else:
            samples.append(network_sample(thing, ms, judged=thing.key in judged))
    return tuple(samples)


def _about(
    device: Device, kept: Sequence[Measurement], samples: Sequence[Sample], left_out: Sequence[str]
) -> dict[str, Any]:
    """What the profile says of itself."""
    host = kept[0].host
    runners = sorted({f"{one.host.library} ({one.host.runner})" for one in kept})
    days = sorted({one.measured[:10] for one in kept})
    flagged = sum(one.verdict == "flagged" for one in kept)
    note = f"{flagged} of {len(kept)} measurements were disturbed and flagged"
    note += f"; {len(left_out)} were refused or failed, and left out." if left_out else "."
    pieces = sum(sample.role != "judged" for sample in samples)
    return {
        "name": device.name,
        "device": f"{host.soc or device.name} ({host.machine})",
        "core": f"core {host.core}" + ("" if host.core_max_khz is None else f", {host.core_max_khz / 1e6:.2f} GHz"),
        "library": ", ".join(runners),
        "threads": 1,
        "precision": kept[0].precision,
        "figures": "measured",
        "source": f"measured on the device, {days[0]}" + ("" if len(days) == 1 else f" to {days[-1]}"),
        "note": note,
        "fitted_on": (
            f"{pieces} operators, blocks and networks of other spaces",
            *(sample.name for sample in samples if sample.role == "judged"),
        ),
    }
