"""Spaces, budgets, and the networks of a space that meet a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from snsearch.api.arguments import checked
from snsearch.device import named_profile, profile_of_device
from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.files import bundled_names
from snsearch.latency import Profile
from snsearch.network import Precision
from snsearch.solver import (
    Budget,
    Design,
    Match,
    Solution,
    SpaceSpec,
    load_budget,
    load_space,
    mflops_budget,
    networks_as_rows,
    reasons_of,
    scaled,
    with_input,
)
from snsearch.solver import sample as sample_designs
from snsearch.solver import solve as solve_design
from snsearch.units import (
    SAMPLES,
    format_latency,
    format_resolution,
    parse_bytes,
    parse_confidence,
    parse_count,
    parse_latency,
    parse_resolution,
)

Resolution = int | str | tuple[int, int]
Groups = int | tuple[int, ...]  # of all stages, or one per stage


class Solutions(tuple[Solution, ...]):
    """Solutions that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return networks_as_rows(self).html()


class UnmetBudgetsError(InfeasibleBudgetError):
    """Some of the networks that were asked for do not exist.

    Attributes:
        reasons: why not, once for all that fail by the same bound; also the message.
        found: the solutions of the others.
    """

    def __init__(self, reasons: Sequence[str], found: Solutions) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = tuple(reasons)
        self.found = found


def _several(given: Any) -> tuple[Any, ...]:
    """The values of a sequence, or the one value; a text is one value."""
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def pixels_of(given: Resolution) -> tuple[int, int]:
    """(height, width) of a resolution in any of its forms. Raises SpecError."""
    return parse_resolution(format_resolution(given) if isinstance(given, tuple) else given)


@checked
def spaces(*names: str) -> tuple[SpaceSpec, ...]:
    """The design spaces: all that are bundled, or those that are named.

    Args:
        names: bundled names, or paths of TOML files.

    Raises:
        SpecError: there is no such space, or its file cannot be used.

    Example:
        >>> import snsearch
        >>> [space.name for space in snsearch.spaces()]
        ['igc', 'mobilenet-v1', 'resnet', 'resnext', 'shufflenet-free', 'shufflenet-v1', 'vgg-like', 'xception-like']
        >>> snsearch.spaces("shufflenet-v1")[0].groups
        (1, 2, 3, 4, 8)
    """
    return tuple(load_space(name) for name in names or bundled_names("spaces"))


@checked
def budgets(*names: str) -> tuple[Budget, ...]:
    """The named budgets: all that are bundled, or those that are named.

    Args:
        names: bundled names, paths of TOML files, or MFLOPs as text.

    Raises:
        SpecError: there is no such budget, or its file cannot be used.

    Example:
        >>> import snsearch
        >>> print(snsearch.budgets("stm32f746")[0].describe())
        peak activation memory at most 320.0 KiB, model size at most 1.00 MiB
    """
    return tuple(load_budget(name) for name in names or bundled_names("budgets"))


def _budgets(mflops: Sequence[float], named: Sequence[str | Budget], bounds: dict[str, Any]) -> list[Budget]:
    """A budget for each of the MFLOPs and names, with the further bounds; the bounds alone if there is none."""
    found = [mflops_budget(value) for value in mflops]
    found += [load_budget(one) if isinstance(one, str) else one for one in named]
    if not found and "latency_ms" in bounds:
        found = [Budget(name=format_latency(bounds["latency_ms"]), **bounds)]
    elif not found and bounds.keys() & {"params", "peak_activation_bytes", "weight_bytes"}:
        found = [Budget(name="own bounds", **bounds)]
    return [replace(budget, **bounds) for budget in found]


def latency_bounds(
    latency: float | str | None, profile: str | Profile | None, device: str | None, confidence: float | str | None
) -> dict[str, Any]:
    """The fields of a budget that bound its latency, of what is given. Raises SpecError, and DeviceError."""
    if profile is not None and device is not None:
        raise SpecError("profile and device both name the device of a latency; give one of them")
    if device is not None:
        profile = profile_of_device(device)
    return {
        "latency_ms": None if latency is None else parse_latency(latency),
        "profile": named_profile(profile) if isinstance(profile, str) else profile,
        "confidence": None if confidence is None else parse_confidence(confidence),
    }


def _goals(
    mflops: Sequence[float],
    named: Sequence[str | Budget],
    resolution: Resolution | None,
    classes: int | None,
    *,
    params: int | str | None = None,
    peak_memory: int | str | None = None,
    model_size: int | str | None = None,
    precision: Precision | None = None,
    match: Match | None = None,
    latency: float | str | None = None,
    profile: str | Profile | None = None,
    device: str | None = None,
    confidence: float | str | None = None,
) -> tuple[Budget, ...]:
    """The budgets that are asked for, with the further bounds, at the input."""
    given = {
        "params": None if params is None else parse_count(params),
        "peak_activation_bytes": None if peak_memory is None else parse_bytes(peak_memory),
        "weight_bytes": None if model_size is None else parse_bytes(model_size),
        "precision": precision,
        "match": match,
        **latency_bounds(latency, profile, device, confidence),
    }
    bounds = {name: value for name, value in given.items() if value is not None}
    pixels = None if resolution is None else pixels_of(resolution)
    return tuple(with_input(one, resolution=pixels, classes=classes) for one in _budgets(mflops, named, bounds))


def _designs(
    space: SpaceSpec,
    groups: Sequence[Groups],
    scales: Sequence[float],
    *,
    lenient: bool,
    budgeted: bool,
    depth: str | None,
    se: bool | tuple[bool, ...],
    shuffle: bool,
    ratios: tuple[float, ...] | None,
) -> list[Design]:
    """The designs asked of one space. `lenient`: the space keeps its own groups if it lacks the asked ones."""
    asked = tuple(tuple(one) if isinstance(one, Sequence) else one for one in groups) or space.groups
    if lenient:
        asked = tuple(count for count in asked if count in space.groups) or space.groups
        if depth is not None and depth not in dict(space.depths):
            raise SpecError(f"space {space.name} has no depth {depth!r}; name the spaces that do")
        shuffle = shuffle or "shuffle" not in space.options
        scales = () if budgeted and not space.stem_at_scale else scales
    return [
        Design(groups=count, scale=scale, depth=depth, se=se, shuffle=None if shuffle else False, ratios=ratios)
        for scale in tuple(scales) or (None,)
        for count in asked
    ]


@checked
def solve(
    *,
    mflops: float | Sequence[float] = (),
    budget: str | Budget | Sequence[str | Budget] = (),
    space: str | SpaceSpec | Sequence[str | SpaceSpec] = "shufflenet-v1",
    groups: int | Sequence[Groups] = (),
    scale: float | Sequence[float] = (),
    depth: str | None = None,
    se: bool | Sequence[bool] = False,
    shuffle: bool = True,
    ratios: Sequence[float] | None = None,
    params: int | str | None = None,
    peak_memory: int | str | None = None,
    model_size: int | str | None = None,
    precision: Precision | None = None,
    match: Match | None = None,
    latency: float | str | None = None,
    profile: str | Profile | None = None,
    device: str | None = None,
    confidence: float | str | None = None,
    resolution: Resolution | None = None,
    classes: int | None = None,
    tight: bool = False,
    packed: bool = False,
) -> Solutions:
    """The channel counts that meet each budget, for every space, scale and group count that is asked for.

    Without MFLOPs, a budget or another bound: what the groups and scales cost.

    Args:
        mflops: millions of multiply-adds.
        budget: bundled names, paths of TOML files, or records.
        space: bundled names, paths of TOML files, records, or "all": every bundled one whose search is not open.
        groups: group counts, each of all stages or a tuple with one per stage; the space's where empty.
        scale: widths relative to the space's 1x; where empty, what fits the budget, or 1.
        depth: units per stage, by name or as "4-8-4".
        se: squeeze-and-excitation (reduction 16) on every unit, or one switch per stage.
        shuffle: False leaves the channel shuffle out.
        ratios: widths per stage over the first one's; the space's where None.
        params: at most this many parameters, such as "1.9M".
        peak_memory: at most this many bytes of activations at a time, such as "320KiB".
        model_size: at most this many bytes of weights, such as "1MiB".
        precision: that memory and size are counted at; float32 unless the budget says otherwise.
        match: "nearest" meets the MFLOPs on either side, "under" never exceeds them.
        latency: at most this predicted latency, in milliseconds or such as "25ms". Stages leave their proportion as
            for `tight`; of the networks at most 2 % below the limit, the one of most MACs is taken.
        profile: that predicts it: a record, a bundled name, or the path of a TOML file.
        device: of your own, whose profile predicts it.
        confidence: 0.95 or "95%" keeps the upper end of the prediction's 95 % interval within the limit.
        resolution: of the input: pixels, "480x640", or (height, width); 224 unless the budget says otherwise.
        classes: of the network; 1000 unless the budget says otherwise.
        tight: let stages leave their proportion of widths a little, to come within 0.1 % of the MFLOPs.
        packed: prefer channels per group that are multiples of 4.

    Returns:
        A tuple of solutions: by budget, then space, then scale, then group count.

    Raises:
        SpecError: an argument that cannot be used.
        DeviceError: the device has no profile yet.
        InfeasibleBudgetError: a budget that no network meets; its `found` holds the solutions of the others.

    Example:
        >>> import snsearch
        >>> for found in snsearch.solve(mflops=140, groups=(1, 3, 8)):
        ...     print(found.architecture.groups, found.architecture.stage_channels, round(found.costs.mflops, 2))
        (1, 1, 1) (144, 288, 576) 143.08
        (3, 3, 3) (240, 480, 960) 137.46
        (8, 8, 8) (384, 768, 1536) 138.37
        >>> [found] = snsearch.solve(mflops=140, groups=[(1, 3, 8)], ratios=(1, 2.2, 3.7))
        >>> found.architecture.groups, found.architecture.stage_channels, round(found.costs.mflops, 2)
        ((1, 3, 8), (204, 456, 768), 135.69)
        >>> for found in snsearch.solve(latency="25ms", profile="snapdragon-820", groups=(1, 3, 8)):
        ...     print(f"{found.architecture.stage_channels} {found.costs.mflops:.1f} {found.latency.ms:.2f}")
        (80, 284, 520) 111.6 24.99
        (144, 288, 1020) 79.3 24.81
        (192, 352, 1248) 53.7 24.85
    """
    goals = _goals(
        _several(mflops),
        _several(budget),
        resolution,
        classes,
        params=params,
        peak_memory=peak_memory,
        model_size=model_size,
        precision=precision,
        match=match,
        latency=latency,
        profile=profile,
        device=device,
        confidence=confidence,
    )
    if not goals and (tight or packed):
        raise SpecError("tight and packed solving need a budget")
    if space == "all":
        asked = [one for one in spaces() if not one.opened]  # an open one holds networks of another
    else:
        asked = [load_space(one) if isinstance(one, str) else one for one in _several(space)]
    # Without a budget, its input and precision alone are read.
    [free] = _goals((1,), (), resolution, classes, precision=precision)
    found, failed = [], []
    for goal, one in product(goals or (None,), asked):
        designs = _designs(
            one,
            _several(groups),
            _several(scale),
            lenient=len(asked) > 1,
            budgeted=goal is not None,
            depth=depth,
            se=tuple(se) if isinstance(se, Sequence) else se,
            shuffle=shuffle,
            ratios=None if ratios is None else tuple(map(float, ratios)),
        )
        for design in designs:
            try:
                found.append(
                    scaled(one, design, free)
                    if goal is None
                    else solve_design(one, goal, design, tight=tight, packed=packed)
                )
            except InfeasibleBudgetError as error:
                failed.append(error)
    if failed:
        raise UnmetBudgetsError(reasons_of(failed), Solutions(found))
    return Solutions(found)


@checked
def sample(
    count: int,
    *,
    mflops: float | None = None,
    budget: str | Budget | None = None,
    space: str | SpaceSpec = "shufflenet-free",
    seed: int = 0,
    params: int | str | None = None,
    peak_memory: int | str | None = None,
    model_size: int | str | None = None,
    precision: Precision | None = None,
    match: Match | None = None,
    latency: float | str | None = None,
    profile: str | Profile | None = None,
    device: str | None = None,
    confidence: float | str | None = None,
    resolution: Resolution | None = None,
    classes: int | None = None,
) -> Iterator[Solution]:
    """Different networks of a space that meet a budget, drawn at random; each is solved when it is asked for.

    Args:
        count: networks, from 1.
        mflops: millions of multiply-adds.
        budget: a bundled name, the path of a TOML file, or a record, in the place of MFLOPs.
        space: a bundled name, the path of a TOML file, or a record.
        seed: of the draws; the same seed gives the same networks.
        params, peak_memory, model_size, precision, match, resolution, classes: as in `solve`.
        latency, profile, device, confidence: as in `solve`.

    Returns:
        An iterator over solutions.

    Raises:
        SpecError: an argument that cannot be used, or fewer networks than are asked for (when they run out).
        InfeasibleBudgetError: a budget that none of the drawn designs meets.

    Example:
        >>> import snsearch
        >>> for found in snsearch.sample(3, mflops=40):
        ...     print(found.architecture.groups, found.architecture.stage_channels, f"{found.costs.mflops:.2f}")
        (4, 4, 1) (96, 256, 388) 40.04
        (2, 1, 8) (144, 296, 416) 39.96
        (8, 2, 8) (128, 256, 544) 39.98
    """
    SAMPLES.check(count, count)
    goals = _goals(
        () if mflops is None else (mflops,),
        () if budget is None else (budget,),
        resolution,
        classes,
        params=params,
        peak_memory=peak_memory,
        model_size=model_size,
        precision=precision,
        match=match,
        latency=latency,
        profile=profile,
        device=device,
        confidence=confidence,
    )
    if len(goals) != 1:
        raise SpecError("a sample is drawn for one budget: give mflops, budget, or another bound")
    return sample_designs(load_space(space) if isinstance(space, str) else space, goals[0], count, seed)
