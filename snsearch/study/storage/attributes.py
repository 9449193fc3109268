"""The attributes of studies and trials as records. Every value is checked: a storage may be anybody's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from snsearch.codec import decode
from snsearch.errors import StudyError
from snsearch.network import Architecture, Costs
from snsearch.solver import Design, fields_of
from snsearch.study.lengths import Lengths
from snsearch.study.presence import Holder
from snsearch.study.records import Attachment, Fault, Refill, Settings, Status, TrialRecord
from snsearch.training import CurvePoint, ProxyResult

T = TypeVar("T")
# Keys of a study's attributes: the trial's number and the seed follow.
REPEAT = "repeat:"
LOST = "lost repeat:"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """The attributes of a trial."""

    architecture: Architecture | None = None
    costs: Costs | None = None
    cost: float | None = None
    published: bool = False
    deviation: float | None = None
    binding: str | None = None
    notes: tuple[str, ...] = ()
    proxy: ProxyResult | None = None
    curve: tuple[CurvePoint, ...] = ()
    status: Literal["failed", "interrupted", "left out"] | None = None
    reason: str = ""
    fault: Fault | None = None
    duplicate_of: int | None = None


def design_of(parameters: dict[str, Any], where: str) -> Design:
    """The design of a trial's parameters; a worker may have died while it asked for them. Raises StudyError."""
    return _decoded(Design, {"groups": 0} | fields_of(parameters), where)


def settings_in(study: optuna.Study) -> Settings | None:
    """The settings of a study; None of one that is not snsearch's. Raises StudyError for another schema."""
    stored = study.user_attrs.get("settings")
    return None if stored is None else decode(Settings, stored, "the study's settings", error=StudyError)


def runs_of(study: optuna.Study) -> tuple[dict[str, Any], ...]:
    """The provenance of a study, one entry a run. Raises StudyError."""
    return decode(tuple[dict[str, Any], ...], study.user_attrs.get("runs", []), "the study's runs", error=StudyError)


def attached(study: optuna.Study, kind: Attachment) -> tuple[dict[str, Any], ...]:
    """What other wings keep in a study. Raises StudyError for what is no JSON object."""
    found = {key: value for key, value in study.user_attrs.items() if key.startswith(f"{kind}:")}
    return tuple(
        decode(dict[str, Any], value, f"the study's {key}", error=StudyError) for key, value in found.items()
    )


def lengths_in(study: optuna.Study) -> Lengths | None:
    """The lengths of a study's trainings; None before the pilot is over. Raises StudyError."""
    stored = study.user_attrs.get("lengths")
    return None if stored is None else decode(Lengths, stored, "the study's lengths", error=StudyError)


def refills_in(study: optuna.Study) -> tuple[Refill, ...]:
    """When a search last drew further networks. Raises StudyError."""
    stored = study.user_attrs.get("refills", [])
    return decode(tuple[Refill, ...], stored, "the study's refills", error=StudyError)


def lacking_in(study: optuna.Study) -> tuple[str, ...]:
    """The group counts of the published designs that a search did not come to. Raises StudyError."""
    stored = study.user_attrs.get("lacking", [])
    return decode(tuple[str, ...], stored, "the study's lacking", error=StudyError)


def noise_in(study: optuna.Study) -> float | None:
    """The noise of a full training, as a search found it. Raises StudyError."""
    stored = study.user_attrs.get("noise")
    return None if stored is None else decode(float, stored, "the study's noise", error=StudyError)


def holder_of(study: optuna.Study) -> Holder | None:
    """The process that searches on a study, or did last; None in studies of earlier versions. Raises StudyError."""
    stored = study.user_attrs.get("holder")
    return None if stored is None else _decoded(Holder, stored, "the study's holder")


def records_of(study: optuna.Study) -> tuple[TrialRecord, ...]:
    """The trials of a study, by number. Raises StudyError with the trial and the field that is wrong."""
    repeats: dict[int, list[ProxyResult]] = {}
    lost: dict[int, list[tuple[int, str]]] = {}
    for key, value in study.user_attrs.items():
        if key.startswith(REPEAT):
            number, _ = _number_and_seed(key)
            repeats.setdefault(number, []).append(decode(ProxyResult, value, f"the study's {key}", error=StudyError))
        elif key.startswith(LOST):
            number, seed = _number_and_seed(key)
            lost.setdefault(number, []).append((seed, decode(str, value, f"the study's {key}", error=StudyError)))
    return tuple(
        record_of(
            trial,
            tuple(sorted(repeats.get(trial.number, ()), key=lambda result: result.seed)),
            tuple(sorted(lost.get(trial.number, ()))),
        )
        for trial in study.get_trials(deepcopy=False)
    )


def _number_and_seed(key: str) -> tuple[int, int]:
    try:
        number, seed = map(int, key.split(":")[1:])
    except ValueError:
        raise StudyError(f"the study's attribute {key!r}: expected the numbers of a trial and a seed") from None
    return number, seed


def _decoded(kind: type[T], values: Any, where: str) -> T:
    """The record in a JSON object, whose other keys are somebody else's."""
    if isinstance(values, dict):
        known = {one.name for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass
        values = {key: value for key, value in values.items() if key in known}
    return decode(kind, values, where, error=StudyError)


def _kept(trial: FrozenTrial) -> _Kept:
    return _decoded(_Kept, trial.user_attrs, f"trial {trial.number}")


def record_of(
    trial: FrozenTrial,
    repeats: tuple[ProxyResult, ...] = (),
    lost_seeds: tuple[tuple[int, str], ...] = (),
) -> TrialRecord:
    """A trial as a record. Raises StudyError with the field that is wrong."""
    kept, status = _kept(trial), _status(trial)
    if status in ("complete", "stopped") and kept.duplicate_of is None:
        for name in ("architecture", "costs", "cost", "proxy"):
            if getattr(kept, name) is None:
                raise StudyError(f'trial {trial.number}: missing key "{name}", which a {status} trial has')
    return TrialRecord(
        number=trial.number,
        status=status,
        design=design_of(trial.params or trial.system_attrs.get("fixed_params", {}), f"trial {trial.number}"),
        architecture=kept.architecture,
        costs=kept.costs,
        deviation=kept.deviation,
        binding=kept.binding,
        notes=kept.notes,
        cost=kept.cost,
        published=kept.published,
        proxy=kept.proxy,
        curve=kept.proxy.curve if kept.proxy else kept.curve,
        repeats=repeats,
        lost_seeds=lost_seeds,
        reason=kept.reason,
        fault=kept.fault,
        duplicate_of=kept.duplicate_of,
        finished=trial.datetime_complete,
    )


def _status(trial: FrozenTrial) -> Status:
    kept = trial.user_attrs.get("status")
    match trial.state:
        case TrialState.COMPLETE:
            return "complete"
        case TrialState.RUNNING:
            return "running"
        case TrialState.PRUNED:
            return "stopped"
        case TrialState.WAITING:
            return "interrupted" if kept == "interrupted" else "waiting"
        case _:
            return "left out" if kept == "left out" else "failed"
