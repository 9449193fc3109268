"""Design: the choices of a network beside its widths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from snsearch.codec import Field
from snsearch.errors import SpecError
from snsearch.solver.space_rules import RATIOS, are_ratios, misfit_of_ratios
from snsearch.solver.spec import SpaceSpec
from snsearch.units import SCALES, format_stages, read_stages

_GROUPS = Field(expected="a group count, or a list with one per stage", read=read_stages)
_SWITCHES = Field(expected="true or false, or a list with one per stage", read=partial(read_stages, kind=bool))


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """The choices of a network beside its widths.

    None means the space's default; for the scale, the one that fits the budget. `groups` and `se` are those of every
    stage, or a tuple with one per stage.
    """

    groups: Annotated[int | tuple[int, ...], _GROUPS]
    scale: float | None = None
    depth: str | None = None
    se: Annotated[bool | tuple[bool, ...], _SWITCHES] = False
    shuffle: bool | None = None
    # Widths per stage over the first one's; None: the space's.
    ratios: Annotated[tuple[float, ...] | None, Field(sparse=True)] = None


def check_design(space: SpaceSpec, design: Design) -> None:
    """Raises SpecError for a design that the space does not have."""
    space.check_groups(design.groups)
    space.repeats(design.depth)
    if any(space.per_stage(design.se, "SE switches")):
        space.check_option("se")
    if design.ratios is not None:
        fits = are_ratios(space.per_stage(design.ratios, "width ratios"))
        if misfit := misfit_of_ratios(space, design.ratios) if fits else f"expected {RATIOS}":
            raise SpecError(f"width ratios {','.join(f'{one:g}' for one in design.ratios)}: {misfit}")
    if design.shuffle is not None and design.shuffle != space.shuffle:
        space.check_option("shuffle")
    if design.scale is not None and not SCALES.holds(design.scale):
        raise SpecError(f"scale {design.scale:g}: expected {SCALES.expected}")


def label_of(design: Design) -> str:
    """A short name that no other design of its space has: "g3 0.5x shallow se no-shuffle"."""
    words = [f"g{format_stages(design.groups)}"]
    words += [f"{design.scale:g}x"] if design.scale is not None else []
    words += [design.depth] if design.depth else []
    words += [f"se{format_stages(design.se)}" if isinstance(design.se, tuple) else "se"] if design.se else []
    words += ["no-shuffle"] if design.shuffle is False else []
    words += [":".join(f"{ratio:.10g}" for ratio in design.ratios)] if design.ratios else []
    return " ".join(words)
