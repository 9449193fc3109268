"""A study as plain records: its settings, its trials, and what other sub-packages keep in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from snsearch.codec import Field, Stored, differences, encode
from snsearch.network import Architecture, Costs
from snsearch.solver import Budget, Design
from snsearch.study.lengths import Lengths
from snsearch.study.pairs import comparable
from snsearch.study.sampler_names import Sampler
from snsearch.training import CurvePoint, ProxyResult, Recipe, RecipeChanges
from snsearch.units import format_stages

Status = Literal["complete", "stopped", "failed", "interrupted", "left out", "running", "waiting"]
Fault = Literal["memory"]  # a training ran out of memory: with more of it, it may succeed
Attachment = Literal["measured", "counted"]  # on devices; on the caches of cores
OTHER_IMAGES = "the images or their labels changed"


_FOLLOWS_FROM_COST_NAME = ("cost_label", "cost_axis", "cost_factor", "cost_judged")


def _settings_of_schema_2(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a study from before there was a pilot; candidates were stopped at rungs."""
    return {"pilot": False} | {name: value for name, value in values.items() if name != "rungs"}


# What a difference between settings begins with, and the option of `snsearch search` that decides it.
_OPTIONS = {
    "budget latency_ms": "--latency",
    "budget profile": "--profile",
    "budget confidence": "--confidence",
    "budget resolution": "--resolution",
    "budget classes": "--classes",
    "budget": "--budget",
    "space": "--space",
    "tight": "--tight",
    "search_shuffle": "--search-shuffle",
    "recipe images": "--full-images",
    "recipe epochs": "--full-images",
    "recipe curve_points": "--full-images",
    "pilot": "--full-images",
    "recipe": "--recipe",
    "changes": "--recipe",
    "seed": "--seed",
    "cost_name": "--objective or --profile",
    "cost": "--profile",
    "sampler": "--sampler",
}


def _option_of(line: str) -> str:
    return next((option for start, option in _OPTIONS.items() if line.startswith(start)), "settings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What decides a study's results: kept in it, and compared when it is resumed."""

    STORED: ClassVar = Stored(schema=3, older=(2,), upgrade=_settings_of_schema_2)

    space: str
    space_digest: str
    budget: Budget
    tight: bool
    search_shuffle: bool
    data: str
    data_fingerprint: str
    data_description: str
    recipe: Recipe  # of a full training, before the pilot
    changes: Annotated[RecipeChanges | None, Field(sparse=True)] = None  # of the recipe, by the user's file
    pilot: bool  # whether a pilot may make it longer
    seed: int
    cost_name: str
    cost_label: str
    cost_axis: str
    cost_factor: float | None = None  # of a predicted cost's 95 % interval, either way
    cost_judged: tuple[float, float] | None = None  # the range of costs that the prediction was judged on
    sampler: Sampler

    def difference(self, other: Settings, images_changed: Callable[[], str] = lambda: OTHER_IMAGES) -> list[str]:
        """Which settings differ, in words, for a study that cannot be resumed with others.

        How the data is named does not count: its fingerprint decides; `images_changed` says what changed.
        """
        names = ("data", "data_description", "data_fingerprint", *_FOLLOWS_FROM_COST_NAME)
        lines = differences(encode(other), encode(self), names)
        if any(line.startswith("budget ") and not line.startswith("budget name") for line in lines):
            lines = [line for line in lines if not line.startswith("budget name")]  # it follows from the bounds
        lines = [f"{_option_of(line)}: {line}" for line in lines]
        return lines if self.data_fingerprint == other.data_fingerprint else [*lines, f"--data: {images_changed()}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refill:
    """When a search drew further networks, and next to which."""

    begun: int  # networks that had been begun by then
    near: tuple[int, ...]  # trials


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One candidate of a study."""

    number: int
    status: Status
    design: Design
    architecture: Architecture | None
    costs: Costs | None
    deviation: float | None
    binding: str | None
    notes: tuple[str, ...]
    cost: float | None  # the second objective
    published: bool = False  # whether the design is a published one, at this budget
    proxy: ProxyResult | None  # the training that the search chooses by, as far as it goes
    curve: tuple[CurvePoint, ...]  # as far as it goes, also while it is trained
    repeats: tuple[ProxyResult, ...]  # trainings with further seeds
    lost_seeds: tuple[tuple[int, str], ...]  # further seeds whose training failed, and why
    reason: str  # why it failed or was interrupted, for people
    fault: Fault | None  # what kind of failure it was, where that changes what the next run does
    duplicate_of: int | None
    finished: datetime | None

    def __repr__(self) -> str:
        score = "" if self.proxy is None else f", error {self.proxy.error:.2%}"
        return f"<#{self.number} {self.status}: {self.words}{score}>"

    @property
    def finals(self) -> tuple[ProxyResult, ...]:
        """Trainings with seeds that did not choose the candidate, scored on test images, by seed."""
        return tuple(result for result in self.repeats if result.scored_on == "test" and result.correct)

    @property
    def results(self) -> tuple[ProxyResult, ...]:
        """The training that the search chooses by, and those with further seeds that were scored alike."""
        alike = () if self.proxy is None else tuple(r for r in self.repeats if r.scored_on == self.proxy.scored_on)
        return () if self.proxy is None else (self.proxy, *alike)

    @property
    def words(self) -> str:
        """The candidate in a few words: "g=3, conv1 12, paper, SE, 120/240/492"."""
        if self.architecture is None:
            return f"g={format_stages(self.design.groups)}, {self.design.depth}"
        words = [f"g={format_stages(self.architecture.groups)}", f"conv1 {self.architecture.stem_channels}"]
        words += [self.design.depth] if self.design.depth else []
        gates = self.architecture.se_reduction
        words += ["SE" if all(gates) else f"SE {format_stages(gates)}"] if any(gates) else []
        words += ["no shuffle"] if self.design.shuffle is False and not self.architecture.shuffle else []
        return ", ".join([*words, "/".join(map(str, self.architecture.stage_channels))])


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRecord:
    """A study as plain data."""

    name: str
    settings: Settings
    provenance: tuple[dict[str, Any], ...]  # one entry a run: versions, host, command, start
    trials: tuple[TrialRecord, ...]
    attachments: Mapping[Attachment, tuple[dict[str, Any], ...]]  # JSON records that other wings keep in the study
    lengths: Lengths | None = None  # of trainings; None before the pilot is over
    noise: float | None = None  # standard deviation of one full training, as the search found it
    lacking: tuple[str, ...] = ()  # group counts of the published designs that the search did not come to
    url: str = field(default="", repr=False, compare=False)  # of the storage that it was read from

    def __repr__(self) -> str:
        from snsearch.study.summary import short_text

        return short_text(self)

    def _repr_html_(self) -> str:
        from snsearch.study.summary import summary_html

        return summary_html(self)

    @property
    def candidates(self) -> tuple[TrialRecord, ...]:
        """The trials that trained a candidate to the end, or the furthest if none did; each architecture once."""
        return trained(self.trials)

    @property
    def finals(self) -> dict[int, Sequence[ProxyResult]]:
        """The trainings by which networks are compared at the end, by the last trial that each network has any in."""
        last = {trial.architecture: trial for trial in self.trials if trial.finals}
        return dict(comparable({trial.number: trial.finals for trial in last.values()}))

    @property
    def tried_words(self) -> str:
        """How many candidates were tried, and how many of them trained to the end."""
        ended = sum(trial.status == "complete" for trial in self.candidates)
        return f"{len(explored(self.trials))} candidates tried, {ended} trained to the end"


def trained(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Of some trials those that trained a candidate to the end, or the furthest if none did; none twice."""
    ended = tuple(trial for trial in trials if trial.status == "complete" and trial.duplicate_of is None)
    if ended:
        return ended
    begun = [(trial, trial.proxy.share) for trial in explored(trials) if trial.proxy and trial.status != "failed"]
    furthest = max((share for _, share in begun), default=0.0)
    return tuple(trial for trial, share in begun if share == furthest)


def explored(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Of some trials those that trained a candidate, to the end or less, each architecture once."""
    tried = (trial for trial in trials if trial.proxy is not None and trial.duplicate_of is None)
    return tuple({trial.architecture: trial for trial in tried}.values())
