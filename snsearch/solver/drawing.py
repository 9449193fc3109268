"""SpaceSpec -> random designs: a space whose search is open is drawn from, and never listed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from snsearch.solver.design import Design
from snsearch.solver.parameters import draw_values, fields_of, parameters_of
from snsearch.solver.spec import SpaceSpec


def draw(space: SpaceSpec, rng: Random) -> Design:
    """A random design of what the space's [search] leaves open, and of what it lists.

    Group counts, SE, units and depths are uniform and independent, for each stage where they are chosen per stage;
    the growth of widths from stage to stage and the scale are uniform on a logarithmic scale. Whether channels are
    shuffled is drawn where a stage has several groups. Stages that agree give the design of one choice for all.

    Args:
        space: its search may be open or not.
        rng: one more design of it is another one; the same state gives the same design.
    """
    design = Design(**fields_of(draw_values(parameters_of(space), rng)))
    return replace(design, shuffle=None) if design.groups == 1 else design
