"""Optuna's samplers by the names that `--sampler` takes."""

from __future__ import annotations

import optuna

from snsearch.study.sampler_names import Sampler


def sampler_of(name: Sampler, seed: int, *, several: bool) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of that name; `several` trials are trained at once."""
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=10, multivariate=True, constant_liar=several
            )
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=10)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=10, deterministic_objective=False)
        case "quasi-random":
            return optuna.samplers.QMCSampler(seed=seed, scramble=True)
        case _:  # the surrogate's proposals are asked for by name
            return optuna.samplers.RandomSampler(seed=seed)
