"""Searches of open spaces: a pool of drawn networks that is refilled as the search learns."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest

from snsearch.network.arch import Architecture
from snsearch.pages.page import report_data
from snsearch.solver.spec import SpaceSpec, load_space
from snsearch.study.effort import Effort
from snsearch.study.networks import EVERY
from snsearch.study.records import StudyRecord
from snsearch.study.storage.attributes import refills_in
from snsearch.study.verdict import verdict_of
from tests.studies import FOUR_NETWORKS, QUICK, Setup, pretended_training, tight_candidates

FREE = load_space("shufflenet-free")
LONG = Effort(start=12, trainings=16.0, seeds=2)


def errors_of(arch: Architecture) -> tuple[float, ...]:
    """Errors at six points: wide last stages are good, SE is bad, and each network has something of its own."""
    own = int(hashlib.sha256(arch.key.encode()).hexdigest()[:6], 16) / 2**24
    last = 0.5 - 0.04 * (arch.stage_channels[-1] / 100) + 0.02 * own + 0.01 * any(arch.se_reduction)
    return tuple(last + 0.35 * (6 - point) / 6 for point in range(1, 7))


made_up = pretended_training(errors_of)


def setup_in(folder: Path, **options: Any) -> Setup:
    return Setup(folder, **{"space": FREE, "train": made_up} | options)


def stored(setup: Setup) -> optuna.Study:
    return optuna.load_study(study_name="digits", storage=setup.url)


def trials(record: StudyRecord) -> list[tuple[object, ...]]:
    return [
        (t.number, t.architecture, t.status, t.proxy and (t.proxy.error, t.proxy.share), [r.seed for r in t.repeats])
        for t in record.trials
    ]


def begun(record: StudyRecord) -> list[str]:
    return [trial.architecture.key for trial in record.trials if trial.architecture is not None]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return setup_in(tmp_path)


def test_an_open_space_is_searched_to_a_verdict_and_a_page(setup: Setup) -> None:
    assert setup.search(effort=LONG) == "the effort is spent"
    record = setup.study()
    published = {solution.architecture.key for solution in map(_solution(setup), setup.candidates().published)}
    assert {key for key, trial in zip(begun(record), record.trials, strict=True) if trial.published} == published
    assert len(set(begun(record))) == len(begun(record)) > 12
    verdict = verdict_of(record, 0.5)
    assert verdict is not None
    assert verdict.against[0].name == "the published g=3"
    assert len(report_data(record).rows) == len(record.candidates)


def _solution(setup: Setup) -> Any:
    return setup.candidates().solutions.__getitem__


def test_what_is_drawn_later_is_better_than_what_was_drawn_first(setup: Setup) -> None:
    setup.search(effort=Effort(start=12, trainings=24.0, seeds=1))
    first = {solution.architecture.key for solution in setup.candidates().solutions.values()}
    errors = {
        trial.architecture.key: trial.proxy.error
        for trial in setup.study().candidates
        if trial.architecture and trial.proxy
    }
    later = [error for key, error in errors.items() if key not in first]
    assert min(later) < min(error for key, error in errors.items() if key in first)
    refills = refills_in(stored(setup))
    assert len(refills) > 1
    assert all(after.begun - before.begun >= EVERY for before, after in pairwise(refills))
    assert all(refill.near for refill in refills[1:])


def test_choices_are_real_parameters_of_optuna(setup: Setup) -> None:
    setup.search()
    for trial in stored(setup).trials:
        kinds = {name: type(one).__name__ for name, one in trial.distributions.items()}
        assert kinds["groups_stage3"] == kinds["se_stage2"] == kinds["shuffle"] == "CategoricalDistribution"
        assert kinds["units_stage4"] == "IntDistribution"
        assert kinds["scale"] == kinds["growth_stage3"] == "FloatDistribution"
        assert all(
            one._contains(one.to_internal_repr(trial.params[name])) for name, one in trial.distributions.items()
        )
    complete = [trial for trial in stored(setup).trials if trial.state.name == "COMPLETE"]
    importance = optuna.importance.get_param_importances(
        stored(setup),
        target=lambda trial: trial.values[0],
        evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=8, seed=0),
    )
    assert len(complete) > 3
    assert {"groups_stage2", "units_stage3", "scale", "growth_stage4"} <= {*importance}


@pytest.mark.long
def test_a_search_that_is_interrupted_again_and_again_ends_as_an_uninterrupted_one(
    setup: Setup, tmp_path: Path
) -> None:
    setup.search(effort=LONG)
    calls = count(1)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if next(calls) % 3 == 0:
            raise KeyboardInterrupt
        return made_up(*arguments, **options)

    broken = setup_in(tmp_path / "broken", train=interrupted)
    interruptions = 0
    while True:
        try:
            broken.search(effort=LONG)
        except KeyboardInterrupt:
            interruptions += 1
        else:
            break
    assert interruptions >= 5
    assert trials(broken.study()) == trials(setup.study())


def test_another_seed_searches_other_networks(setup: Setup, tmp_path: Path) -> None:
    other = setup_in(tmp_path / "other", seed=1)
    setup.search()
    other.search()
    published = {solution.architecture.key for solution in map(_solution(setup), setup.candidates().published)}
    assert {*begun(setup.study())} & {*begun(other.study())} == published


@pytest.mark.long
def test_more_networks_than_the_pool_has_are_begun_where_they_are_asked_for(setup: Setup) -> None:
    setup.space = replace(FREE, search_units=((4, 4), (8, 8), (4, 4)))
    setup.train = pretended_training(lambda arch: errors_of(arch)[-2:])
    pool = setup.candidates().count
    setup.search(trials=pool + 20, effort=Effort(start=3, trainings=2.0, seeds=1))
    keys = begun(setup.study())
    assert len(set(keys)) == len(keys) >= pool + 20


def test_a_small_open_space_is_used_up(setup: Setup) -> None:
    setup.space = replace(FREE, **FOUR_NETWORKS)
    ended = setup.search(effort=Effort(start=4, trainings=20.0, seeds=1))
    assert ended == "all 4 networks that were found in the space are trained"


def _opened(name: str) -> SpaceSpec:
    space = load_space(name)
    units = tuple((max(1, count - 1), count + 1) for count in space.depths[0][1])
    return replace(space, search_depths=(), search_units=units, search_per_stage=("se",), search_growth=(1.5, 2.5))


@pytest.mark.parametrize("name", ["mobilenet-v1", "resnext", "xception-like"])
def test_a_peer_s_space_that_opens_something_is_searched(setup: Setup, name: str) -> None:
    setup.space = _opened(name)
    if name == "mobilenet-v1":
        setup.space = replace(setup.space, search_growth=(1.0, 2.5))
    assert setup.search() == "the effort is spent"
    assert verdict_of(setup.study(), 0.5) is not None


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "quasi-random"])
def test_optuna_s_samplers_search_an_open_space(setup: Setup, sampler: Any) -> None:
    setup.sampler = sampler
    setup.search(effort=Effort(start=3, trainings=5.0, seeds=1))
    complete = [trial for trial in setup.study().trials if trial.status == "complete"]
    assert len({trial.architecture for trial in complete}) >= 4
    known = {solution.architecture.key for solution in tight_candidates(FREE, setup.budget).solutions.values()}
    assert [key for key in begun(setup.study()) if key not in known], "it chooses beyond the pool"


@pytest.mark.long
def test_two_workers_search_an_open_space(setup: Setup) -> None:
    setup.workers = 2
    setup.train = made_up_by_workers
    assert setup.search(effort=QUICK) == "the effort is spent"
    assert verdict_of(setup.study(), 0.5) is not None


def made_up_by_workers(*arguments: Any, **options: Any) -> Any:
    return made_up(*arguments, **options)
