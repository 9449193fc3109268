"""The settings that a study is made with."""

from __future__ import annotations

from snsearch.latency import Profile
from snsearch.solver import Budget, SpaceSpec, deployed_on, digest_of
from snsearch.study.objective import COUNTED, OBJECTIVES, Objective
from snsearch.study.records import Settings
from snsearch.study.sampler_names import Sampler
from snsearch.training import Dataset, Recipe, RecipeChanges


def settings_of(
    space: SpaceSpec,
    budget: Budget,
    dataset: Dataset,
    recipe: Recipe,
    *,
    data: str,
    seed: int,
    tight: bool,
    search_shuffle: bool,
    changes: RecipeChanges | None = None,
    pilot: bool = True,
    sampler: Sampler = "surrogate",
    objective: Objective | None = None,
) -> Settings:
    """The settings that a study is made with."""
    objective = objective or OBJECTIVES[COUNTED]
    profile: Profile | None = objective.profile
    return Settings(
        space=space.name,
        space_digest=digest_of(space),
        budget=budget,
        tight=tight,
        search_shuffle=search_shuffle,
        data=data,
        data_fingerprint=dataset.fingerprint(),
        data_description=f"{dataset.describe()}; {dataset.source}",
        recipe=recipe if changes is None else changes.of(recipe),
        changes=changes,
        pilot=pilot,
        seed=seed,
        cost_name=objective.name,
        cost_label=objective.label,
        cost_axis=objective.axis,
        cost_factor=None if profile is None else profile.interval_factor,
        cost_judged=None if profile is None else profile.judged_ms,
        sampler=sampler,
    )


def deployed(budget: Budget, dataset: Dataset, *, named: bool, classes: int | None) -> Budget:
    """The budget at the data set's own channels and classes, where the budget does not name its own."""
    if named:
        return budget
    return deployed_on(budget, dataset.channels, len(dataset.classes) if classes is None else classes)
