"""What a search ends in: the pick, what it is compared with, and what could not be told apart.

Everything is said of full trainings with seeds that did not choose the candidates, on test images, in paired
differences. Among networks that are equal but for a margin, the one that costs least is the pick.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from snsearch.codec import Stored, encode
from snsearch.study.effort import EFFORTS, MARGIN, STANDARD
from snsearch.study.finalists import references_of
from snsearch.study.objective import unit_of
from snsearch.study.pairs import Difference, Finals, Noise, common_seeds, difference, error_of, noise_of
from snsearch.study.records import Settings, StudyRecord, TrialRecord
from snsearch.units import format_interval, format_stages, three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A finalist, by its full trainings."""

    trial: int
    key: str
    words: str
    error: float  # mean over the seeds, on test images
    error_interval: tuple[float, float]
    seeds: int
    images: int  # of each training
    full: bool  # whether that is the full length
    cost: float  # the second objective, such as milliseconds
    cost_interval: tuple[float, float] | None  # 95 %, of a prediction
    extrapolated: bool  # whether the cost lies outside of what its profile was judged on


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The pick beside another finalist, in paired differences: the pick's figure less the other's."""

    name: str
    trial: int
    key: str
    difference_points: float  # negative: the pick is better
    interval_points: tuple[float, float]
    cost_ratio: float  # the pick's cost over the other's

    @property
    def words(self) -> str:
        """The name for people; programs may know the shorter one."""
        return self.name.replace("published g=", "published design for g=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer of a search."""

    STORED: ClassVar = Stored(schema=1)

    pick: Choice
    against: tuple[Comparison, ...]  # the published designs
    others: tuple[Comparison, ...]  # the other finalists
    most_accurate: Choice
    chance: float | None  # the test error of always answering the most frequent class; None where it is not known
    separated: bool  # whether the pick learnt, and differs from every other finalist by more than the margin
    decided: bool  # whether it differs by more, or is shown equal within the margin, by two seeds at least
    margin_points: float
    longer: int | None  # images of a longer full training; None where none can be longer
    unit: str  # of the cost
    test_images: int
    images_points: float  # half of the interval of a difference that the test images alone would leave, at most
    lacking: tuple[str, ...]  # group counts of the published designs that the search did not come to
    extrapolated: tuple[int, ...]  # finalists whose cost lies outside of what its profile was judged on

    @property
    def fastest_equal(self) -> Choice:
        """The cheapest that is no worse than the best: that is the pick."""
        return self.pick

    def document(self, next_command: str | None) -> dict[str, Any]:
        """The verdict for programs; `latency_ms` is null where the second objective is another."""
        choices = {name: self._choice(getattr(self, name)) for name in ("pick", "fastest_equal", "most_accurate")}
        return {
            **choices,
            "against": [self._comparison(one) for one in self.against],
            "others": [self._comparison(one) for one in self.others],
            "not_compared": [f"g={groups}" for groups in self.lacking],
            "chance": self.chance,
            "separated": self.separated,
            "decided": self.decided and not self.is_guess,
            "margin_points": self.margin_points,
            "next": next_command,
        }

    def _choice(self, choice: Choice) -> dict[str, Any]:
        values = {name: value for name, value in encode(choice).items() if name not in ("cost", "cost_interval")}
        interval = None if choice.cost_interval is None else list(choice.cost_interval)
        if self.unit == "ms":
            return values | {"latency_ms": choice.cost, "latency_interval_ms": interval}
        cost = {"cost": choice.cost, "cost_unit": self.unit, "cost_interval": interval}
        return values | {"latency_ms": None, "latency_interval_ms": None} | cost

    def _comparison(self, one: Comparison) -> dict[str, Any]:
        values: dict[str, Any] = encode(one)
        ratio = values.pop("cost_ratio")
        return values | (
            {"latency_ratio": ratio} if self.unit == "ms" else {"latency_ratio": None, "cost_ratio": ratio}
        )

    def lines(self) -> Iterator[str]:
        """The verdict in sentences."""
        pick = self.pick
        if self.is_guess:
            yield f"No network to take yet: {self.described(pick)}, {self.guess_words}."
            return
        length = (
            "trained in full" if pick.full else f"trained on {pick.images:,} images, which is not the full length"
        )
        seeds = "1 seed" if pick.seeds == 1 else f"{pick.seeds} seeds"
        guessing = "" if self.chance is None else f"; guessing errs on {self.chance:.1%}"
        if self.headline:
            yield self.headline
        yield f"Take {self.described(pick)}; {length}, {seeds}{guessing}."
        for one in self.against:
            if one.trial == pick.trial:
                yield f"It is {one.words} itself."
            else:
                yield f"Against {one.words}: {self.compared(one)}."
        if self.most_accurate.trial != pick.trial:
            yield (
                f"The lowest error has {self.described(self.most_accurate)}; the pick is no worse than it but for "
                f"{self.margin_points:g} points, and costs less."
            )
        if (tied := self.cheaper_tied) is not None:
            low, high = tied.interval_points
            cheaper = "Faster" if self.unit == "ms" else "Cheaper"
            yield (
                f"{cheaper} still, but not shown to be as accurate, is {tied.words}: "
                f"{-tied.difference_points:+.1f} ± {(high - low) / 2:.1f} points "
                f"{self._at_cost(1 / tied.cost_ratio)}."
            )
        if self.extrapolated:
            names = ", ".join(f"#{number}" for number in self.extrapolated)
            yield f"Outside of what its profile was judged on: the predicted latency of {names}."
        if self._open:
            yield f"The pick is {self._what_is_open}. {self._what_narrows}"
        if pick.seeds == 1:
            yield "One seed does not decide: the noise of trainings in these intervals is the search's estimate."
        if self.lacking:
            names = ", ".join(f"g={groups}" for groups in self.lacking)
            yield f"The published designs for {names} are not compared."

    @property
    def headline(self) -> str:
        """What is still open, in a few words; empty where all is decided."""
        if self.lacking:
            return "The search was cut short."
        if self.decided:
            return ""
        tied = any(self._is_tied(one) for one in self._open)
        return "The best are not told apart yet." if tied else "How far the best are apart is open yet."

    @property
    def purpose(self) -> str:
        """What the next command is for."""
        if self.lacking or not self.pick.full:
            return "To go on"
        return "To narrow the intervals" if self._seeds_narrow else "For more networks and seeds"

    @property
    def _what_is_open(self) -> str:
        tied = [one for one in self._open if self._is_tied(one)]
        apart = [one for one in self._open if one not in tied]
        verb = "better than" if all(one.difference_points < 0 for one in apart) else "told apart from"
        words = [f"not told apart from {_names(tied)}"] if tied else []
        words += [f"{verb} {_names(apart)}, but perhaps by less than {self.margin_points:g} points"] if apart else []
        return "; it is ".join(words)

    @property
    def _what_narrows(self) -> str:
        if self._seeds_narrow:
            return "More seeds narrow the intervals."
        return (
            f"{self.test_images:,} test images alone leave ± {self.images_points:.1f} points, however many seeds "
            "there are; only more test images narrow that."
        )

    @property
    def _seeds_narrow(self) -> bool:
        return self.images_points <= self.margin_points

    @property
    def is_guess(self) -> bool:
        """Whether the pick may be no better than guessing."""
        return self.chance is not None and self.pick.error_interval[1] >= self.chance

    @property
    def guess_words(self) -> str:
        """What there is to say and do where the pick is a guess."""
        if not self.pick.full:
            advice = "train to the full length"
        elif self.longer is None:
            advice = "trainings cannot be longer, so give more images"
        else:
            advice = f"train longer: --full-images {self.longer}"
        return f"not told apart from guessing, which errs on {self.chance:.1%}; {advice}"

    @property
    def cheaper_tied(self) -> Comparison | None:
        """The pick beside a cheaper finalist that is not told apart from it; None without any.

        The cheapest of those that seem to be worse by the margin at most; where none does, the most accurate.
        """
        cheaper = [one for one in (*self.against, *self.others) if one.cost_ratio > 1 and self._is_tied(one)]
        near = [one for one in cheaper if -one.difference_points <= self.margin_points]
        if near:
            return max(near, key=lambda one: one.cost_ratio)
        return max(cheaper, key=lambda one: one.difference_points, default=None)

    def tied_with(self) -> tuple[Comparison, ...]:
        """The pick beside every other finalist that is not told apart from it."""
        return tuple(one for one in (*self.against, *self.others) if self._is_tied(one))

    def described(self, choice: Choice) -> str:
        """A finalist with its error and cost."""
        interval = format_interval(choice.error, choice.error_interval, ".1%")
        cost = f"{three_digits(choice.cost)} {self.unit}"
        if choice.cost_interval is not None:
            low, high = map(three_digits, choice.cost_interval)
            cost += f" (95 %: {low} to {high})"
        return f"#{choice.trial} ({choice.words}): error {choice.error:.1%} {interval} at {cost}"

    def compared(self, one: Comparison) -> str:
        """How the pick compares with another."""
        low, high = one.interval_points
        half = (high - low) / 2
        size = f"{abs(one.difference_points):.1f} ± {half:.1f} points"
        if max(abs(low), abs(high)) <= self.margin_points:
            error = f"equal within {self.margin_points:g} points ({one.difference_points:+.1f} ± {half:.1f})"
        elif high < 0:
            error = f"{size} better"
        elif low > 0:
            error = f"{size} worse"
        else:
            error = f"not told apart ({one.difference_points:+.1f} ± {half:.1f} points)"
        return f"{error}, {self._at_cost(one.cost_ratio)}"

    def _at_cost(self, ratio: float) -> str:
        """A cost beside another, by their ratio: "at 14% more time"."""
        is_time, change = self.unit == "ms", ratio - 1
        if abs(change) < 0.005:
            return "in the same time" if is_time else "at the same cost"
        return f"at {abs(change):.0%} {'more' if change > 0 else 'less'} {'time' if is_time else 'cost'}"

    def _is_tied(self, one: Comparison) -> bool:
        low, high = one.interval_points
        return one.trial != self.pick.trial and low <= 0 <= high

    @property
    def _open(self) -> tuple[Comparison, ...]:
        """The pick beside every other finalist that neither is equal within the margin nor differs by more."""
        margin = self.margin_points

        def is_open(low: float, high: float) -> bool:
            return not (low > margin or high < -margin) and max(abs(low), abs(high)) > margin

        others = (one for one in (*self.against, *self.others) if one.trial != self.pick.trial)
        return tuple(one for one in others if is_open(*one.interval_points))


def verdict_of(study: StudyRecord, margin: float | None = None) -> Verdict | None:
    """The verdict on a study's finalists; None where none is trained in full with further seeds yet.

    Args:
        margin: points of error below which two networks are equal; None: those of the study's last run.
    """
    if margin is None:
        kept = study.provenance[-1].get("margin_points") if study.provenance else None
        margin = float(kept) if isinstance(kept, int | float) else MARGIN
    finals = study.finals
    if not finals:
        return None
    seeds = common_seeds(finals)
    by_number = {trial.number: trial for trial in study.trials}
    noise = noise_of(finals, otherwise=study.noise or 0.0)
    costs = {number: by_number[number].cost or 0.0 for number in finals}
    errors = {number: error_of(results, noise)[0] for number, results in finals.items()}
    best = min(finals, key=lambda number: (errors[number], costs[number]))
    share = margin / 100
    equal = [n for n in finals if n == best or difference(finals[n], finals[best], noise).no_worse(share)]
    pick = min(equal, key=lambda number: (costs[number], errors[number]))
    apart = {n: difference(finals[pick], finals[n], noise) for n in finals if n != pick}
    names = _references(study, by_number[pick], finals)
    lengths = study.lengths

    def choice(number: int) -> Choice:
        return _choice(study, by_number[number], finals, noise)

    def comparison(number: int, name: str) -> Comparison:
        found = apart.get(number) or Difference(mean=0.0, half=0.0, of_images=0.0, seeds=len(seeds))
        architecture = by_number[number].architecture
        assert architecture is not None, "a finalist was trained"
        return Comparison(
            name=name,
            trial=number,
            key=architecture.key,
            difference_points=100 * found.mean,
            interval_points=(100 * found.interval[0], 100 * found.interval[1]),
            cost_ratio=costs[pick] / costs[number] if costs[number] else math.inf,
        )

    others = [n for n in finals if n != pick and n not in names]
    found = Verdict(
        pick=choice(pick),
        against=tuple(comparison(number, name) for number, name in names.items()),
        others=tuple(comparison(number, f"#{number}") for number in others),
        most_accurate=choice(best),
        chance=None if lengths is None else lengths.guessing,
        separated=len(seeds) > 1 and all(found.beyond(share) for found in apart.values()),
        decided=len(seeds) > 1 and all(found.beyond(share) or found.within(share) for found in apart.values()),
        margin_points=margin,
        longer=None if lengths is None else lengths.longer,
        unit=unit_of(study.settings.cost_axis),
        test_images=min(result.test_images for result in finals[pick]),
        images_points=100 * max((one.of_images for one in apart.values()), default=0.0),
        lacking=study.lacking,
        extrapolated=tuple(n for n in finals if extrapolated(study.settings, costs[n])),
    )
    return replace(found, separated=found.separated and not found.is_guess)


def why_none(study: StudyRecord) -> str:
    """Why a study has no verdict yet, in a sentence."""
    words = "There is no verdict: no finalist was trained by a seed that did not choose it"
    run = study.provenance[-1].get("command") if study.provenance else None
    if isinstance(run, list) and "--time-limit" in run:
        return f"{words}, because the time limit left no room for that."
    return f"{words} yet."


def choices_of(study: StudyRecord) -> dict[int, Choice]:
    """Every finalist by its full trainings, by trial number."""
    finals = study.finals
    noise = noise_of(finals, otherwise=study.noise or 0.0)
    return {trial.number: _choice(study, trial, finals, noise) for trial in study.trials if trial.number in finals}


def extrapolated(settings: Settings, cost: float) -> bool:
    """Whether a predicted cost lies outside of what its profile was judged on."""
    factor, judged = settings.cost_factor, settings.cost_judged
    if judged is None or factor is None:
        return False
    return not judged[0] / factor <= cost <= judged[1] * factor


def next_command(study: StudyRecord, verdict: Verdict | None) -> str | None:
    """The command that would tell apart what could not be; None where there is none, or nothing to tell apart.

    From guessing only longer trainings tell a network apart: a study of its own, for a study has one length.
    Trainings that a time limit cut, and seeds that were interrupted, are done by the same command.
    """
    run = study.provenance[-1].get("command") if study.provenance else None
    if not isinstance(run, list):
        return None
    words = [str(word) for word in run]
    if verdict is not None and verdict.pick.full:
        if verdict.is_guess:
            if study.lengths is None or verdict.longer is None:
                return None
            words = _with(words, "--full-images", str(verdict.longer))
            name = study.name.removesuffix(f"-{study.lengths.images}")
            words = _with(words, "--study", f"{name}-{verdict.longer}")
        elif verdict.lacking:
            pass  # the same command goes on
        elif verdict.decided or not (words := _with_effort(words, _seeds_of(study, verdict))):
            return None
    if "--time-limit" in words:
        at = words.index("--time-limit")
        del words[at : at + 2]
    return shlex.join(words)


def _seeds_of(study: StudyRecord, verdict: Verdict) -> int:
    """By how many seeds the pick was trained, or could not be."""
    [lost] = [len(trial.lost_seeds) for trial in study.trials if trial.number == verdict.pick.trial]
    return verdict.pick.seeds + lost


def _with_effort(words: list[str], seeds: int) -> list[str]:
    """The command with the least effort, from its own on, that trains by more seeds than these; empty for none."""
    given = words[words.index("--effort") + 1] if "--effort" in words else STANDARD
    names = list(EFFORTS)
    for name in names[names.index(given) :]:
        if EFFORTS[name].seeds > seeds:
            return words if name == given else _with(words, "--effort", name)
    return []


def _with(words: list[str], option: str, value: str) -> list[str]:
    """The command with that value of an option."""
    at = words.index(option) if option in words else len(words)
    return [*words[:at], option, value, *words[at + 2 :]]


def _references(study: StudyRecord, pick: TrialRecord, finals: Finals) -> dict[int, str]:
    """The published designs among the finalists that the pick is compared with, by number."""
    published = [trial for trial in study.trials if trial.published and trial.number in finals]
    if not published:
        return {}
    groups = [trial.architecture.groups if trial.architecture else () for trial in published]
    usual, nearest = (
        published[at] for at in references_of(groups, [trial.cost or 0.0 for trial in published], pick.cost or 0.0)
    )
    names = {usual.number: f"the published g={_groups_words(usual)}"}
    if nearest.number != usual.number:
        nearby = "" if nearest.number == pick.number else " (nearest to it in cost)"
        names[nearest.number] = f"the published g={_groups_words(nearest)}{nearby}"
    return names


def _names(compared: Sequence[Comparison]) -> str:
    return ", ".join(one.words for one in compared)


def _groups_words(trial: TrialRecord) -> str:
    return format_stages(trial.architecture.groups) if trial.architecture else "?"


def _choice(study: StudyRecord, trial: TrialRecord, finals: Finals, noise: Noise) -> Choice:
    results = finals[trial.number]
    error, interval = error_of(results, noise)
    factor, cost = study.settings.cost_factor, trial.cost or 0.0
    assert trial.architecture is not None, "a finalist was trained"
    return Choice(
        trial=trial.number,
        key=trial.architecture.key,
        words=trial.words,
        error=error,
        error_interval=interval,
        seeds=len(results),
        images=min(result.images_seen for result in results),
        full=all(result.finished for result in results),
        cost=cost,
        cost_interval=None if factor is None else (cost / factor, cost * factor),
        extrapolated=extrapolated(study.settings, cost),
    )
