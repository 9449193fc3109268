"""SpaceSpec + Budget -> a population: random designs of a space, each solved for the budget."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.latency import Profile
from snsearch.solver.budget import Budget
from snsearch.solver.drawing import draw
from snsearch.solver.solving import Solution, solve
from snsearch.solver.spec import SpaceSpec
from snsearch.tables import Column, Table
from snsearch.units import format_resolution, format_stages

_VAIN = 20_000  # draws in a row that give no new network: the space has hardly any more
_FIRST = 2_000  # the first ones, of which at least one must meet the budget


def sample(space: SpaceSpec, budget: Budget, count: int, seed: int = 0) -> Iterator[Solution]:
    """Different networks of a space that meet a budget, drawn at random.

    Structure is uniform, and ratios of widths and the scale are log-uniform, among the designs that can meet the
    budget; widths are solved within 0.1 % of the MFLOPs where they allow it. The same seed gives the same networks,
    and more of them begin with those.

    Args:
        space: its search says what is drawn.
        budget: the bounds.
        count: networks.
        seed: of the draws.

    Raises:
        InfeasibleBudgetError: none of the first draws can meet the budget. Gives the reason of one.
        SpecError: the space has fewer different networks; those that it has were given before.
    """
    rng, seen = Random(seed), set[str]()
    vain, reason = 0, ""
    while len(seen) < count:
        vain += 1
        if not seen and vain > _FIRST:
            raise InfeasibleBudgetError(
                f"none of {_FIRST:,} designs of {space.name} meets {budget.describe()}; of one design: {reason}"
            )
        if vain > _VAIN:
            raise SpecError(
                f"space {space.name}: {len(seen):,} different networks for {budget.describe()}, and {_VAIN:,} "
                "further draws gave no other; ask for at most as many, or open more in the space's [search]"
            )
        try:
            solution = solve(space, budget, draw(space, rng), tight=budget.macs is not None)
        except InfeasibleBudgetError as error:
            reason = str(error)
            continue
        key = solution.architecture.key
        if key not in seen:
            seen.add(key)
            vain = 0
            yield solution


_COLUMNS: tuple[Column[Solution], ...] = (
    Column("key", lambda s: s.architecture.key),
    Column("mflops", lambda s: s.costs.macs / 1e6),
    Column("macs", lambda s: s.costs.macs),
    Column("params", lambda s: s.costs.params),
    Column("deviation", lambda s: s.deviation),
    Column("groups", lambda s: format_stages(s.architecture.groups)),
    Column("se", lambda s: format_stages(tuple(int(reduction > 0) for reduction in s.architecture.se_reduction))),
    Column("shuffle", lambda s: s.architecture.shuffle),
    Column("scale", lambda s: s.scale),
    Column("stem_channels", lambda s: s.architecture.stem_channels),
    Column("stage_channels", lambda s: "-".join(map(str, s.architecture.stage_channels))),
    Column("units", lambda s: "-".join(map(str, s.architecture.stage_repeats))),
    Column("model_size_bytes", lambda s: s.costs.weight_bytes),
    Column("peak_activation_bytes", lambda s: s.costs.peak_activation_bytes),
    Column("resolution", lambda s: format_resolution(s.architecture.resolution)),
    Column("classes", lambda s: s.architecture.classes),
    Column("space", lambda s: s.space),
)


def population_table(solutions: list[Solution], profile: Profile | None = None) -> Table[Solution]:
    """A population as rows of plain values: what is chosen per stage is one text, whether stages agree or not.

    Args:
        solutions: of one space and budget.
        profile: adds the latency that it predicts; none where it refuses to.
    """
    if profile is None:
        return Table(columns=_COLUMNS, rows=solutions)
    from snsearch.latency import predict_population  # they load numpy
    from snsearch.network import Population

    predicted = predict_population(profile, Population.of([one.architecture for one in solutions])).tolist()
    by_key = {one.architecture.key: ms for one, ms in zip(solutions, predicted, strict=True) if ms == ms}
    latency = Column[Solution]("latency_ms", lambda s: by_key.get(s.architecture.key))
    return Table(columns=(*_COLUMNS, latency), rows=solutions)
