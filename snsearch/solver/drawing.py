"""SpaceSpec -> random designs: a space whose search is open is drawn from, and never listed."""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul
from random import Random
from typing import TypeVar

from snsearch.solver.design import Design
from snsearch.solver.spec import SpaceSpec

T = TypeVar("T")


def draw(space: SpaceSpec, rng: Random) -> Design:
    """A random design of what the space's [search] leaves open, and of what it lists.

    Group counts, SE, units and depths are uniform and independent, for each stage where they are chosen per stage;
    the growth of widths from stage to stage and the scale are uniform on a logarithmic scale. Whether channels are
    shuffled is drawn where a stage has several groups. Stages that agree give the design of one choice for all.

    Args:
        space: its search may be open or not.
        rng: one more design of it is another one; the same state gives the same design.
    """
    stages = len(space.ratios)

    def chosen(key: str, options: tuple[T, ...]) -> T | tuple[T, ...]:
        if key not in space.search_per_stage:
            return rng.choice(options)
        each = tuple(rng.choice(options) for _ in range(stages))
        return each[0] if len(set(each)) == 1 else each

    def log_uniform(ends: tuple[float, float]) -> float:
        low, high = ends
        return min(high, max(low, math.exp(rng.uniform(math.log(low), math.log(high)))))

    groups = chosen("groups", space.search_groups)
    se = chosen("se", space.search_se)
    if space.search_units:
        depth = "-".join(str(rng.randint(least, most)) for least, most in space.search_units)
    else:
        depth = rng.choice(space.search_depths)
    scale = rng.choice(space.search_scales) if space.search_scales else None
    if space.search_scale is not None:
        scale = log_uniform(space.search_scale)
    ratios = None
    if space.search_growth is not None:
        ratios = tuple(accumulate((log_uniform(space.search_growth) for _ in range(stages - 1)), mul, initial=1.0))
    shuffle = rng.choice(space.search_shuffle) if space.search_shuffle and groups != 1 else None
    return Design(groups=groups, scale=scale, depth=depth, se=se, shuffle=shuffle, ratios=ratios)
