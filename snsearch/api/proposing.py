"""The search's proposals for an Optuna study of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snsearch.api.arguments import checked
from snsearch.device import named_profile
from snsearch.latency import DEFAULT_PROFILE
from snsearch.solver import Budget, SpaceSpec, candidates_of, load_budget, load_space, mflops_budget
from snsearch.study import LATENCY, objective_named

if TYPE_CHECKING:
    from snsearch.study import DesignSampler


@checked
def design_sampler(
    budget: float | str | Budget,
    *,
    space: str | SpaceSpec = "shufflenet-free",
    objective: str = LATENCY,
    profile: str = DEFAULT_PROFILE,
    tight: bool = True,
    search_shuffle: bool = False,
    seed: int = 0,
) -> DesignSampler:
    """An Optuna sampler that proposes networks of a space that meet a budget, as `search` does.

    Its `suggest(trial)` is the trial's network with all that `solve` knows of it. The first value of a trial is the
    network's error; a second one is optional, and what the sampler weighs against the error then is `objective`.

    Args:
        budget: MFLOPs at 224x224 with 1,000 classes, a bundled name, the path of a TOML file, or a record; the last
            three may have another input.
        space: a bundled name, the path of a TOML file, or a record.
        objective: "latency", "params", "peak-memory" or "counted".
        profile: that predicts the latency.
        tight: match the MFLOPs within 0.1 %.
        search_shuffle: propose networks without channel shuffle too.
        seed: of the proposals.

    Raises:
        SpecError: an argument that cannot be used.
        InfeasibleBudgetError: no design of the space meets the budget.

    Example:
        >>> import optuna
        >>> import snsearch
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> sampler = snsearch.design_sampler(40, objective="params")
        >>> def error(trial):
        ...     return 1 / sampler.suggest(trial).costs.params  # train its architecture here
        >>> study = optuna.create_study(sampler=sampler)
        >>> study.optimize(error, n_trials=6)
        >>> study.trials[1].params["groups_stage3"], study.trials[1].params["units_stage3"]
        (2, 8)
    """
    if isinstance(budget, int | float):
        limits = mflops_budget(budget)
    else:
        limits = load_budget(budget) if isinstance(budget, str) else budget
    goal = objective_named(objective, named_profile(profile) if objective == LATENCY else None)
    candidates = candidates_of(
        load_space(space) if isinstance(space, str) else space,
        limits,
        tight=tight,
        search_shuffle=search_shuffle,
        cost=goal.of,
        seed=seed,
    )
    from snsearch.study import DesignSampler

    return DesignSampler(candidates, seed)
