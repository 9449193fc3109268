"""The parameters of a search as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from snsearch.solver import Parameter


def distributions_of(parameters: Sequence[Parameter]) -> dict[str, BaseDistribution]:
    """The distribution of every parameter, by name."""
    return {one.name: _distribution(one) for one in parameters}


def suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    """The value that a trial's sampler gives a parameter."""
    if parameter.options:
        return trial.suggest_categorical(parameter.name, parameter.options)
    if parameter.whole:
        return trial.suggest_int(parameter.name, int(parameter.least), int(parameter.most))
    return trial.suggest_float(parameter.name, parameter.least, parameter.most, log=True)


def _distribution(one: Parameter) -> BaseDistribution:
    if one.options:
        return CategoricalDistribution(one.options)
    if one.whole:
        return IntDistribution(int(one.least), int(one.most))
    return FloatDistribution(one.least, one.most, log=True)
