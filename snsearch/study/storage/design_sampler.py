"""The search's own proposals as an Optuna sampler, for a study of anybody's."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState

from snsearch.errors import InfeasibleBudgetError, StudyError
from snsearch.solver import Candidates, Solution, Values, draw_values
from snsearch.study.networks import Network, Networks, View
from snsearch.study.posterior import Observation
from snsearch.study.records import Refill
from snsearch.study.steps import FULL, Standing, is_informed, next_step, parents_of, step_seed
from snsearch.study.storage.distributions import distributions_of, suggested
from snsearch.study.thinning import thinned

_START = 12  # networks that come first, as in the standard effort of a search

Key = tuple[Any, ...]  # the values of a network's parameters


class DesignSampler(optuna.samplers.BaseSampler):
    """Proposes networks of a space that meet a budget, by a Gaussian process and top-two Thompson sampling.

    First come the space's published designs and some that represent every choice. A trial's first value is the error
    of its network, to be minimised; where a study has a second one, half of the proposals look for the front of the
    error and the candidates' own cost. Of many trials, those that say most are looked at, so a proposal takes a
    fraction of a second after any number. Not thread-safe: processes that share a storage have a sampler each.

    Args:
        candidates: of the space and budget.
        seed: of the proposals; the same trials and seed give the same ones.
    """

    def __init__(self, candidates: Candidates, seed: int = 0) -> None:
        self._candidates, self._seed = candidates, seed
        self._networks = Networks(candidates, seed)
        self._distributions = distributions_of(candidates.parameters)
        self._number_of: dict[Key, int | None] = {}  # None: it does not meet the budget
        self._errors: dict[Key, float] = {}
        self._gone: set[Key] = set()
        self._read = 0  # trials, from the first on, that are finished and known

    def suggest(self, trial: optuna.Trial) -> Solution:
        """The network of a trial. Raises optuna.TrialPruned where another sampler's choice cannot meet the budget."""
        values = {one.name: suggested(trial, one) for one in self._candidates.parameters}
        try:
            return self._candidates.source.solved(values).solution
        except InfeasibleBudgetError as error:
            raise optuna.TrialPruned(str(error)) from None

    def infer_relative_search_space(self, study: OptunaStudy, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters."""
        return dict(self._distributions)

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next network's values. Raises StudyError where the first objective is not minimised."""
        if study.directions[0] != optuna.study.StudyDirection.MINIMIZE:
            raise StudyError("the first objective of the study is the error: let it be minimised")
        going = self._learn(study.get_trials(deepcopy=False), trial.number)
        view, standing = self._standing(going, several=len(study.directions) > 1)
        seed = step_seed(self._seed, len(self._errors) + len(going))
        if self._networks.is_due(len(self._errors) + len(self._gone)) and is_informed(standing):
            known = view.space.posterior(standing.observations)
            near = [self._networks.all[view.numbers[at]].values for at in parents_of(standing, known, seed)]
            self._networks.refill(Refill(begun=len(self._errors) + len(self._gone), near=()), near)
            view, standing = self._standing(going, several=len(study.directions) > 1)
        step = next_step(standing, view.space, seed)
        if step is not None:
            chosen = step.network
        elif untried := [network for network in standing.begin if network not in standing.reached]:
            chosen = untried[0]  # nothing is known yet
        else:  # the space is used up
            return draw_values(self._candidates.source.parameters, random.Random(f"{self._seed} {trial.number}"))
        return dict(self._networks.all[view.numbers[chosen]].values)

    def sample_independent(
        self, study: OptunaStudy, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value of a parameter that is not the space's."""
        return optuna.samplers.RandomSampler(seed=self._seed + trial.number).sample_independent(
            study, trial, param_name, param_distribution
        )

    def _key(self, values: Mapping[str, Any]) -> Key | None:
        has_all = self._distributions.keys() <= values.keys()
        return tuple(values[name] for name in self._distributions) if has_all else None

    def _learn(self, trials: Sequence[FrozenTrial], asking: int) -> set[Key]:
        """Takes in the trials that ended since; returns what is being trained."""
        going: set[Key] = set()
        for trial in trials[self._read :]:
            key = self._key(trial.params)
            if trial.state.is_finished():
                self._read += trial.number == self._read
            if key is None or trial.number == asking:
                continue
            if trial.state == TrialState.COMPLETE:
                self._errors[key] = trial.values[0]
            elif trial.state.is_finished():
                self._gone.add(key)
            elif trial.state == TrialState.RUNNING:
                going.add(key)
        return going

    def _standing(self, going: Iterable[Key], *, several: bool) -> tuple[View, Standing]:
        """The networks to choose among, how far they are, and how alike."""
        kept = {key: self._numbered(key) for key in thinned({key: (FULL, one) for key, one in self._errors.items()})}
        for number, network in enumerate(self._networks.all):
            self._number_of.setdefault(tuple(network.values.values()), number)
        under_way = {n for key in going if (n := self._numbered(key)) is not None}
        tried = {n for key in (*self._errors, *self._gone) if (n := self._number_of.get(key)) is not None}
        seen = list(dict.fromkeys(number for number in kept.values() if number is not None))
        if self._networks.is_drawn:
            numbers = [*seen, *self._networks.untried(tried | under_way), *(under_way - {*seen})]
        else:
            numbers = list(range(len(self._networks.all)))
        view = self._networks.view(numbers)
        at = view.positions()
        observations = [
            Observation(network=at[number], share=FULL, error=self._errors[key])
            for key, number in kept.items()
            if number is not None
        ]
        drawn = self._networks.is_drawn
        standing = Standing(
            costs=[self._networks.all[number].cost if several else 0.0 for number in numbers],
            begin=range(len(numbers)) if drawn else self._networks.order,
            start=max(0, _START - len(tried - {*seen})) if drawn else _START,
            short=FULL,
            done={at[number]: FULL for number in tried if number in at},
            going={at[number]: FULL for number in under_way},
            gone=frozenset(),
            observations=tuple(observations),
            left=float("inf"),
        )
        return view, standing

    def _numbered(self, key: Key) -> int | None:
        """The number of a network by its values, which is solved where it is new; None where it meets no budget."""
        if key not in self._number_of:
            values: Values = dict(zip(self._distributions, key, strict=True))
            try:
                self._number_of[key] = self._networks.add(Network.of(self._candidates.source.solved(values)))
            except InfeasibleBudgetError:
                self._number_of[key] = None
        return self._number_of[key]
