"""What a network's choices, also of single stages, do to its error, by the search's surrogate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from snsearch.intervals import Z95
from snsearch.network import Architecture
from snsearch.study import Observation, Space, features_of
from snsearch.units import format_stages

_MOST_ALONE = 5  # values of a number; more are put together in thirds
_OUT_OF_PROPORTION = 1.25  # widths' ratios that differ by less are one ratio, solved for one budget

_Stages = Callable[[Architecture], tuple[int, ...]]
# What every stage has: its name for one stage, and the words for all stages.
_PER_STAGE: dict[str, tuple[str, _Stages, Callable[[tuple[int, ...]], str]]] = {
    "groups": ("groups", lambda arch: arch.groups, format_stages),
    "units": ("units", lambda arch: arch.stage_repeats, lambda units: "-".join(map(str, units))),
    "squeeze-and-excitation": ("SE", lambda arch: arch.se_reduction, format_stages),
}


def choice_values(archs: Sequence[Architecture]) -> dict[str, list[str]]:
    """The choices with each network's value; those of single stages where these choose for themselves."""
    found: dict[str, list[str]] = {}
    for name, (short, stages_of, words) in _PER_STAGE.items():
        together = [stages_of(arch) for arch in archs]
        alone = [*zip(*together, strict=False)]
        if len(set(together)) > max(len(set(values)) for values in alone):
            found |= {f"{short}, stage {at}": _words(values) for at, values in enumerate(alone, start=2)}
        else:
            found[name] = [words(stages) for stages in together]
    widths = zip(*(arch.stage_channels for arch in archs), strict=False)
    for at, (before, after) in enumerate(pairwise(widths), start=2):
        ratios = [wide / narrow for narrow, wide in zip(before, after, strict=True)]
        if max(ratios) > _OUT_OF_PROPORTION * min(ratios):
            found[f"width, stage {at + 1} / {at}"] = _words(ratios)
    found["first convolution"] = _words([arch.stem_channels for arch in archs])
    found["shuffle"] = ["yes" if arch.shuffle else "no" for arch in archs]
    return found


def _words(values: Sequence[float]) -> list[str]:
    """The values in words; where they are many, which third of the networks each is in."""
    if len(set(values)) <= _MOST_ALONE:
        return [f"{value:.3g}" for value in values]
    thirds = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
    words = {}
    for third in set(thirds):
        ours = [value for value, its in zip(values, thirds, strict=True) if its == third]
        words[third] = f"{min(ours):.3g} to {max(ours):.3g}" if min(ours) < max(ours) else f"{ours[0]:.3g}"
    return [words[third] for third in thirds]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What a value adds to the error: the mean over its networks beside that of all, and its 95 % interval."""

    value: str
    networks: int
    points: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A choice that varies, with the effects of its values, and how far the worst is from the best."""

    name: str
    effects: tuple[Effect, ...]
    points: float
    low: float  # of the 95 % interval
    high: float

    @property
    def best(self) -> Effect:
        """The value with the lowest error."""
        return min(self.effects, key=lambda one: one.points)

    @property
    def worst(self) -> Effect:
        """The value with the highest error."""
        return max(self.effects, key=lambda one: one.points)


def effects_of(archs: Sequence[Architecture], observations: Sequence[Observation]) -> Iterator[Choice]:
    """The choices in which the networks differ, with their effects on the error of a full training.

    Args:
        archs: networks.
        observations: errors of theirs, whose network is an index of `archs`.
    """
    known = Space(features_of(archs)).posterior(list(observations))

    def contrast(weights: np.ndarray) -> tuple[float, float, float]:
        # Rounded: what the last digits are depends on the machine.
        middle = float(weights @ known.mean)
        half = Z95 * float(np.sqrt(max(0.0, weights @ known.covariance @ weights)))
        return round(100 * middle, 3), round(100 * (middle - half), 3), round(100 * (middle + half), 3)

    whole = np.full(len(archs), 1 / len(archs))
    for name, values in choice_values(archs).items():
        means = {one: np.array([its == one for its in values]) / values.count(one) for one in set(values)}
        if len(means) < 2:
            continue
        effects = []
        for value in sorted(means, key=_in_order):
            points, low, high = contrast(means[value] - whole)
            effects.append(Effect(value=value, networks=values.count(value), points=points, low=low, high=high))
        ranked = sorted(effects, key=lambda one: one.points)
        points, low, high = contrast(means[ranked[-1].value] - means[ranked[0].value])
        yield Choice(name=name, effects=tuple(effects), points=points, low=low, high=high)


def _in_order(value: str) -> tuple[list[float], str]:
    """By numbers: 2-4-2 before 16."""
    return [float(part) for part in re.findall(r"\d+(?:\.\d+)?", value)], value
