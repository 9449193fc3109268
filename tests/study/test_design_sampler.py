"""The search's proposals as an Optuna sampler, in plain studies of Optuna."""

from __future__ import annotations

import optuna
import pytest

from snsearch.errors import StudyError
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import Candidates
from snsearch.solver.solving import Solution
from snsearch.solver.spec import load_space
from snsearch.study.storage.design_sampler import DesignSampler
from tests.studies import candidates_at, tight_candidates

FREE = tight_candidates(load_space("shufflenet-free"), load_budget("40"))


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def error_of(solution: Solution) -> float:
    """Wide last stages and few units are good."""
    arch = solution.architecture
    return 0.5 - arch.stage_channels[-1] / 4000 + sum(arch.stage_repeats) / 200


def optimized(
    sampler: optuna.samplers.BaseSampler, trials: int, study: optuna.Study | None = None
) -> tuple[optuna.Study, list[float]]:
    """A study whose trials take the sampler's networks, and their errors."""
    study = study or optuna.create_study()
    study.sampler = sampler
    suggesting = DesignSampler(FREE)
    study.optimize(lambda trial: error_of(suggesting.suggest(trial)), n_trials=trials)
    return study, [trial.value for trial in study.trials if trial.value is not None]


def test_the_published_designs_come_first_and_no_network_twice() -> None:
    study, _ = optimized(DesignSampler(FREE), 30)
    keys = [FREE.source.solved(trial.params).key for trial in study.trials]
    published = [FREE.values[design] for design in FREE.published]
    assert [trial.params for trial in study.trials[:5]] == published
    assert len(set(keys)) == 30


def test_it_finds_better_networks_than_random_ones() -> None:
    _, errors = optimized(DesignSampler(FREE), 40)
    _, by_chance = optimized(optuna.samplers.RandomSampler(seed=0), 40)
    assert min(errors) < min(by_chance)
    assert sum(errors[20:]) / 20 < sum(errors[:20]) / 20


def test_the_same_seed_gives_the_same_trials_also_by_a_sampler_that_takes_over() -> None:
    whole, _ = optimized(DesignSampler(FREE, 1), 18)
    halves, _ = optimized(DesignSampler(FREE, 1), 9)
    optimized(DesignSampler(FREE, 1), 9, halves)
    assert [trial.params for trial in whole.trials] == [trial.params for trial in halves.trials]
    other, _ = optimized(DesignSampler(FREE, 2), 18)
    assert [trial.params for trial in other.trials] != [trial.params for trial in whole.trials]


def test_asked_for_several_at_once_it_gives_different_ones() -> None:
    study, _ = optimized(DesignSampler(FREE), 15)
    asked = [study.ask() for _ in range(4)]
    sampler = DesignSampler(FREE)
    assert len({sampler.suggest(trial).architecture.key for trial in asked}) == 4


@pytest.mark.parametrize("candidates", [FREE, candidates_at("40")], ids=["drawn", "listed"])
def test_asked_for_more_than_it_begins_with_before_any_result_it_gives_different_ones(candidates: Candidates) -> None:
    sampler = DesignSampler(candidates)
    study = optuna.create_study(sampler=sampler)
    assert len({sampler.suggest(study.ask()).architecture.key for _ in range(14)}) == 14


def test_it_goes_on_after_failures_alone() -> None:
    sampler = DesignSampler(FREE)
    study = optuna.create_study(sampler=sampler)
    for _ in range(14):
        trial = study.ask()
        sampler.suggest(trial)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 14


def test_a_second_objective_is_weighed_and_failures_are_passed_over() -> None:
    sampler = DesignSampler(FREE)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        found = sampler.suggest(trial)
        if trial.number % 5 == 4:
            raise RuntimeError("no such kernel")
        return error_of(found), found.costs.bytes_moved / 1e6

    study.optimize(objective, n_trials=25, catch=(RuntimeError,))
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 25
    assert len(study.best_trials) > 1


def test_a_listed_space_is_proposed_from_too() -> None:
    candidates = candidates_at("40")
    sampler = DesignSampler(candidates)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: error_of(sampler.suggest(trial)), n_trials=20)
    assert len({candidates.source.solved(trial.params).key for trial in study.trials}) == 20


def test_an_error_to_be_maximised_is_refused() -> None:
    sampler = DesignSampler(FREE)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with pytest.raises(StudyError, match="let it be minimised"):
        sampler.suggest(study.ask())


def test_another_sampler_s_impossible_design_is_pruned() -> None:
    tiny = tight_candidates(load_space("shufflenet-free"), load_budget("5"))
    sampler = DesignSampler(tiny)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: error_of(sampler.suggest(trial)), n_trials=25)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
