"""A space's [search] as named parameters: what Optuna keeps, and random designs are drawn from.

A choice for all stages is one parameter ("groups"); one per stage has the stage's number, as the paper counts them
("groups_stage2"). `growth_stage3` is the width of Stage3 over that of Stage2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from operator import mul
from random import Random
from typing import Any

from snsearch.solver.design import Design
from snsearch.solver.spec import SpaceSpec

Values = Mapping[str, Any]  # of parameters, by name

_FIRST_STAGE = 2  # the first convolution is Stage1
_DRAWN = ("groups", "se", "units", "depth", "scale", "growth", "shuffle")  # in this order
_OF_A_STAGE = re.compile(r"(groups|se|units|growth)_stage(\d{1,3})")
_STEP = 0.25  # of a range, on a logarithmic scale: how far a neighbour is, in the mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One choice of a search: an option of a list, or a number of a range."""

    name: str
    options: tuple[Any, ...] = ()  # empty: a range
    least: float = 0
    most: float = 0
    whole: bool = False  # integers, all as likely; else real numbers, uniform on a logarithmic scale

    def widened(self, value: Any) -> Parameter:
        """With that value too."""
        if self.options:
            return self if value in self.options else replace(self, options=(*self.options, value))
        return replace(self, least=min(self.least, value), most=max(self.most, value))

    def draw(self, rng: Random) -> Any:
        """A random value."""
        if self.options:
            return rng.choice(self.options)
        if self.whole:
            return rng.randint(int(self.least), int(self.most))
        return self._within(math.exp(rng.uniform(math.log(self.least), math.log(self.most))))

    def near(self, value: Any, rng: Random) -> Any:
        """Another value, near to one: another option, one more or fewer, or a random step."""
        if self.options:
            return rng.choice([option for option in self.options if option != value] or [value])
        if self.whole:
            return int(self._within(value + rng.choice((-1, 1))))
        return self._within(value * math.exp(rng.gauss(0.0, _STEP * math.log(self.most / self.least))))

    def _within(self, value: float) -> float:
        return min(self.most, max(self.least, value))


def parameters_of(space: SpaceSpec, *, search_shuffle: bool = False) -> tuple[Parameter, ...]:
    """What a search of the space chooses.

    `search_shuffle` adds the shuffle where the space's [search] does not name it. Raises SpecError for a space that
    has no such switch.
    """
    found = [*_listed("groups", space.search_groups, space)]
    if space.search_units:
        ranges = enumerate(space.search_units, _FIRST_STAGE)
        found += [Parameter(name=f"units_stage{at}", least=low, most=high, whole=True) for at, (low, high) in ranges]
    else:
        found.append(Parameter(name="depth", options=space.search_depths))
    found += _listed("se", space.search_se, space)
    if space.search_scales:
        found.append(Parameter(name="scale", options=space.search_scales))
    if space.search_scale is not None:
        found.append(Parameter(name="scale", least=space.search_scale[0], most=space.search_scale[1]))
    if space.search_growth is not None:
        low, high = space.search_growth
        stages = range(_FIRST_STAGE + 1, _FIRST_STAGE + len(space.ratios))
        found += [Parameter(name=f"growth_stage{at}", least=low, most=high) for at in stages]
    if search_shuffle:
        space.check_option("shuffle")
    shuffles = space.search_shuffle or ((True, False) if search_shuffle else ())
    return (*found, *([Parameter(name="shuffle", options=shuffles)] if shuffles else []))


def _listed(name: str, options: tuple[Any, ...], space: SpaceSpec) -> list[Parameter]:
    if name not in space.search_per_stage:
        return [Parameter(name=name, options=options)]
    stages = range(_FIRST_STAGE, _FIRST_STAGE + len(space.ratios))
    return [Parameter(name=f"{name}_stage{at}", options=options) for at in stages]


def draw_values(parameters: Sequence[Parameter], rng: Random) -> dict[str, Any]:
    """Random values: structure is uniform; growth and scale are uniform on a logarithmic scale.

    The shuffle is drawn where a stage has several groups, and is the first option elsewhere.
    """
    drawn: dict[str, Any] = {}
    for one in sorted(parameters, key=lambda one: _DRAWN.index(one.name.partition("_")[0])):
        is_moot = one.name == "shuffle" and has_one_group(drawn)
        drawn[one.name] = one.options[0] if is_moot else one.draw(rng)
    return {one.name: drawn[one.name] for one in parameters}


def near_values(parameters: Sequence[Parameter], values: Values, rng: Random) -> dict[str, Any]:
    """Values that differ from others in one parameter or two, and not by much."""
    changed = dict(values)
    for one in rng.sample(parameters, min(len(parameters), rng.choice((1, 2)))):
        changed[one.name] = one.near(changed[one.name], rng)
    moot = [one for one in parameters if one.name == "shuffle" and has_one_group(changed)]
    return changed | {one.name: one.options[0] for one in moot}


def values_of(space: SpaceSpec, parameters: Sequence[Parameter], design: Design) -> dict[str, Any]:
    """The values of a design of the space."""
    stages: dict[str, Sequence[Any]] = {
        "groups": space.per_stage(design.groups, "group counts"),
        "se": space.per_stage(design.se, "SE switches"),
        "units": space.repeats(design.depth),
    }
    ratios = design.ratios or space.ratios
    stages["growth"] = [1.0, *(wide / before for before, wide in pairwise(ratios))]
    found: dict[str, Any] = {}
    for one in parameters:
        match = _OF_A_STAGE.fullmatch(one.name)
        found[one.name] = stages[match[1]][int(match[2]) - _FIRST_STAGE] if match else getattr(design, one.name)
    if found.get("shuffle", True) is None:
        found["shuffle"] = space.shuffle
    return found


def fields_of(values: Values) -> dict[str, Any]:
    """The fields of the Design with these values, as they are: they may be a stranger's."""
    fields: dict[str, Any] = {}
    stages: dict[str, dict[int, Any]] = {}
    for name, value in values.items():
        if match := _OF_A_STAGE.fullmatch(name):
            stages.setdefault(match[1], {})[int(match[2])] = value
        else:
            fields[name] = value
    for name, by_stage in stages.items():
        each = [by_stage[at] for at in sorted(by_stage)]
        if name == "units":
            fields["depth"] = "-".join(map(str, each))
        elif name == "growth":
            numbers = all(type(one) in (int, float) for one in each)
            fields["ratios"] = tuple(accumulate(each, mul, initial=1.0)) if numbers else each
        else:
            fields[name] = each[0] if all(one == each[0] for one in each) else tuple(each)
    return fields


def has_one_group(values: Values) -> bool:
    """Whether no stage has several groups, so that a shuffle does nothing."""
    return all(value == 1 for name, value in values.items() if name.partition("_")[0] == "groups")
