"""The search: every candidate meets the budget, none is trained twice, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from snsearch.errors import InfeasibleBudgetError, SpecError, StudyError
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.solver.budget import Budget, load_budget
from snsearch.solver.candidates import MATCH_LIMIT, candidates_of
from snsearch.solver.spec import load_space
from snsearch.study import loop as search_module
from snsearch.study.loop import deployed
from snsearch.study.objective import OBJECTIVES, mac_and_bytes_cost
from snsearch.study.records import StudyRecord, explored
from snsearch.study.rungs import Rungs
from snsearch.study.sampler_names import Sampler
from snsearch.study.storage import Study, read_study
from snsearch.training.proxy import ProxyResult, TrainingDiverged
from tests.studies import Log, Setup, pretended_training

COUNTED = OBJECTIVES["counted"].of


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def _widest_is_best(arch: Architecture) -> tuple[float, ...]:
    """Errors at four points that fall with the width; no training is needed to know them."""
    last = 0.9 - 0.08 * (arch.stage_channels[-1] / 100)
    return last + 0.06, last + 0.03, last + 0.01, last


@pytest.fixture
def pretend(setup: Setup) -> None:
    """Trainings have made-up errors at once."""
    setup.train = pretended_training(_widest_is_best)


def test_candidates_meet_40_mflops_within_a_thousandth_or_say_how_near_they_came() -> None:
    found = candidates_of(
        load_space("shufflenet-v1"),
        load_budget("40"),
        tight=True,
        search_shuffle=False,
        cost=COUNTED,
    )
    assert len(found.solutions) + len(found.left_out) == 5 * 3 * 4 * 2
    assert all("cannot be met" in reason for reason in found.left_out.values())
    assert len(found.solutions) > 100
    keys = {solution.architecture.key for solution in found.solutions.values()}
    assert len(found.first) == len(keys)
    for solution in found.solutions.values():
        distance = abs(solution.costs.macs / 40e6 - 1)
        assert distance <= 0.001 or any(f"no widths come nearer than {distance:.3%}" in n for n in solution.notes)
        assert distance <= MATCH_LIMIT
        assert count_costs(solution.architecture) == solution.costs
    matched = [s for s in found.solutions.values() if abs(s.costs.macs / 40e6 - 1) <= 0.001]
    assert len(matched) >= 0.9 * len(found.solutions)


def test_designs_too_far_from_the_budget_are_left_out_with_the_reason() -> None:
    found = candidates_of(
        load_space("shufflenet-v1"),
        load_budget("13"),
        tight=False,
        search_shuffle=False,
        cost=COUNTED,
    )
    assert found.left_out
    assert all(abs(s.deviation or 0) <= MATCH_LIMIT for s in found.solutions.values())
    assert any("comes no nearer than" in reason for reason in found.left_out.values())


def test_caps_alone_make_candidates_that_respect_them() -> None:
    budget = load_budget("stm32f746")
    found = candidates_of(load_space("mobilenet-v1"), budget, tight=True, search_shuffle=False, cost=COUNTED)
    for solution in found.solutions.values():
        assert solution.costs.weight_bytes <= (budget.weight_bytes or 0)
        assert solution.costs.peak_activation_bytes <= (budget.peak_activation_bytes or 0)


def test_a_budget_that_no_design_meets_is_infeasible() -> None:
    with pytest.raises(InfeasibleBudgetError, match="no design of shufflenet-v1"):
        candidates_of(
            load_space("shufflenet-v1"),
            load_budget("0.01"),
            tight=True,
            search_shuffle=False,
            cost=COUNTED,
        )


def test_shuffle_is_searched_where_asked_and_possible() -> None:
    with_it = candidates_of(
        load_space("shufflenet-v1"), load_budget("40"), tight=True, search_shuffle=True, cost=COUNTED
    )
    assert {design.shuffle for design in with_it.solutions} == {True, False}
    with pytest.raises(SpecError, match="no switch for shuffle"):
        candidates_of(load_space("resnet"), load_budget("40"), tight=True, search_shuffle=True, cost=COUNTED)


def test_the_published_designs_are_the_default_depth_of_every_group_count_at_the_fitting_scale() -> None:
    found = candidates_of(
        load_space("shufflenet-v1"),
        load_budget("140"),
        tight=True,
        search_shuffle=False,
        cost=COUNTED,
    )
    assert [(d.groups, d.scale, d.depth, d.se) for d in found.published] == [
        (g, 1.0, "paper", False) for g in (1, 2, 3, 4, 8)
    ]


def test_the_cost_is_the_counted_macs_and_bytes() -> None:
    solution = next(
        iter(
            candidates_of(
                load_space("resnet"),
                load_budget("40"),
                tight=True,
                search_shuffle=False,
                cost=COUNTED,
            ).solutions.values()
        )
    )
    assert mac_and_bytes_cost(solution.costs) == (solution.costs.macs + solution.costs.bytes_moved) / 1e6


def test_a_bare_number_takes_channels_and_classes_from_the_data_and_a_named_budget_keeps_its_own(
    setup: Setup,
) -> None:
    bare = deployed(load_budget("40"), setup.dataset, named=False, classes=None)
    assert (bare.input_channels, bare.classes) == (1, 10)
    assert deployed(load_budget("40"), setup.dataset, named=False, classes=7).classes == 7
    named = load_budget("paper-38")
    assert deployed(named, setup.dataset, named=True, classes=None) == named


@pytest.mark.usefixtures("pretend")
def test_a_search_trains_the_published_designs_first_and_then_others(setup: Setup) -> None:
    log = Log()
    reason = setup.search(log).run(trials=7)
    record = read_study(setup.url)
    assert reason == "7 candidates are tried"
    assert len(record.candidates) == 7
    assert [t.design for t in record.trials[:5]] == list(setup.candidates().published)
    keys = [t.architecture.key for t in record.candidates if t.architecture]
    assert log.begun_keys == keys
    assert len(set(keys)) == 7
    for trial in record.candidates:
        assert trial.costs is not None
        assert trial.architecture is not None
        assert count_costs(trial.architecture) == trial.costs
        assert trial.cost == mac_and_bytes_cost(trial.costs)
        assert trial.proxy is not None
        assert trial.proxy.seed == 0


@pytest.mark.usefixtures("pretend")
def test_the_same_seed_gives_the_same_study_and_the_same_command_goes_on(setup: Setup, tmp_path: Path) -> None:
    setup.search().run(trials=7)
    one = Setup(tmp_path / "again", train=setup.train)
    one.search().run(trials=3)
    log = Log()
    one.search(log).run(trials=7)
    assert len(log.begun_keys) == 4, "what the first run trained is not trained again"
    first, second = (read_study(s.url).candidates for s in (setup, one))
    assert [(t.design, t.proxy.error if t.proxy else None) for t in first[:5]] == [
        (t.design, t.proxy.error if t.proxy else None) for t in second[:5]
    ]
    again = Setup(tmp_path / "third", train=setup.train)
    again.search().run(trials=7)
    third = read_study(again.url).candidates
    assert [(t.design, t.proxy.loss if t.proxy else None) for t in first] == [
        (t.design, t.proxy.loss if t.proxy else None) for t in third
    ]


@pytest.mark.usefixtures("pretend")
def test_a_finished_search_trains_nothing_more(setup: Setup) -> None:
    setup.search().run(trials=2)
    log = Log()
    assert setup.search(log).run(trials=2) == "2 candidates are tried"
    assert log.begun_keys == []


@pytest.mark.usefixtures("pretend")
def test_a_repeated_design_takes_its_score_over_without_training(setup: Setup) -> None:
    log = Log()
    search = setup.search(log)
    search.run(trials=1)
    design = search.candidates.published[0]
    search.study.enqueue(design)
    search.run(trials=6)
    trials = read_study(setup.url).trials
    repeated = [t for t in trials if t.duplicate_of is not None]
    assert repeated[0].design == design
    assert repeated[0].duplicate_of == 0
    assert len(log.begun_keys) == len(set(log.begun_keys)) == 6


@pytest.mark.usefixtures("pretend")
def test_a_space_that_is_used_up_ends_the_search(setup: Setup) -> None:
    # MobileNet has four designs: two depths, with and without SE.
    setup.space = load_space("mobilenet-v1")
    reason = setup.search().run(trials=50)
    record = read_study(setup.url)
    assert reason == "all 4 candidates of the space are tried"
    assert len(record.candidates) == 4


@pytest.mark.usefixtures("pretend")
def test_a_time_limit_begins_no_further_candidate(setup: Setup) -> None:
    assert setup.search().run(trials=9, time_limit=0.0001) == "the time limit leaves no room for another candidate"
    assert len(read_study(setup.url).candidates) <= 1


def _training_that(action: Callable[[int], None], setup: Setup) -> None:
    """Lets the n-th training (from 0) of a search do the action first; errors are made up."""
    count = iter(range(1000))
    made_up = pretended_training(_widest_is_best)

    def train(*arguments: Any, **options: Any) -> ProxyResult:
        action(next(count))
        return made_up(*arguments, **options)

    setup.train = train


def test_an_interrupted_search_is_usable_and_takes_the_candidate_up_again(setup: Setup) -> None:
    def interrupt(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    _training_that(interrupt, setup)
    with pytest.raises(KeyboardInterrupt):
        setup.search().run(trials=4)
    left = read_study(setup.url)
    assert [t.status for t in left.trials[:3]] == ["complete", "complete", "interrupted"]
    setup.search().run(trials=5)
    record = read_study(setup.url)
    assert len(record.candidates) == 5
    assert {t.design for t in record.candidates} == set(setup.candidates().published)


def test_an_interrupted_candidate_comes_before_those_that_wait(setup: Setup) -> None:
    def interrupt(number: int) -> None:
        if number == 0:
            raise KeyboardInterrupt

    _training_that(interrupt, setup)
    with pytest.raises(KeyboardInterrupt):
        setup.search().run(trials=1)
    setup.search().run(trials=1)
    [trained] = read_study(setup.url).candidates
    assert trained.number == 0
    assert trained.design == setup.candidates().published[0]
    assert trained.reason == ""


def test_no_checkpoint_is_left_of_what_is_kept(setup: Setup) -> None:
    setup.recipe = replace(setup.recipe, epochs=2)
    search = setup.search()
    search.run(trials=1)
    search.repeat(search.finalists(1, seeds=2))
    assert list((setup.folder / "checkpoints").iterdir()) == []


def test_a_state_that_cannot_be_saved_ends_the_search_and_fails_no_candidate(setup: Setup) -> None:
    setup.recipe = replace(setup.recipe, epochs=2)
    (setup.folder / "checkpoints").write_text("in the way", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be saved"):
        setup.search().run(trials=1)
    assert read_study(setup.url).trials[0].status == "interrupted"
    (setup.folder / "checkpoints").unlink()
    setup.search().run(trials=1)
    assert [t.number for t in read_study(setup.url).candidates] == [0]


def test_a_search_that_is_asked_to_stop_ends_its_trial_at_the_next_step(setup: Setup) -> None:
    log = Log()
    setup.recipe = replace(setup.recipe, images=1618, batch_size=16)
    search = replace(setup.search(log), stop=lambda: log.batches >= 3)
    with pytest.raises(KeyboardInterrupt):
        search.run(trials=50)
    statuses = [trial.status for trial in read_study(setup.url).trials]
    assert "running" not in statuses
    assert log.batches == 3


def test_a_failing_candidate_is_recorded_with_its_reason_and_the_search_goes_on(setup: Setup) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise TrainingDiverged("the training loss became nan after 128 images")

    _training_that(fail, setup)
    log = Log()
    setup.search(log).run(trials=3)
    record = read_study(setup.url)
    failed = [t for t in record.trials if t.status == "failed"]
    assert [t.reason for t in failed] == ["TrainingDiverged: the training loss became nan after 128 images"]
    assert failed[0].number in {r.number for r in log.ended_records}
    assert len(record.candidates) == 3


def test_failures_in_a_row_end_the_search_with_the_last_reason(setup: Setup) -> None:
    def fail(number: int) -> None:
        raise RuntimeError("no such kernel")

    _training_that(fail, setup)
    with pytest.raises(StudyError, match=r"3 candidates in a row failed; the last: RuntimeError: no such kernel"):
        setup.search().run(trials=9)


def test_finalists_are_trained_again_with_further_seeds_and_only_with_those_they_lack(setup: Setup) -> None:
    log = Log()
    search = setup.search(log)
    search.run(trials=5)
    tasks = search.finalists(2, seeds=3)
    assert [seed for _, seed in tasks] == [1, 2, 1, 2]
    search.repeat(tasks[:3])
    assert log.repeats == tasks[:3]
    assert setup.search().finalists(2, seeds=3) == tasks[3:]
    setup.search().repeat(tasks[3:])
    records = {record.number: record for record in read_study(setup.url).trials}
    for number, _ in tasks:
        results = records[number].results
        assert [result.seed for result in results] == [0, 1, 2]
        assert len({result.loss for result in results}) == 3
    assert setup.search().finalists(2, seeds=3) == []


@pytest.mark.usefixtures("pretend")
def test_a_further_seed_that_fails_is_kept_with_its_reason_and_not_tried_again(setup: Setup) -> None:
    setup.search().run(trials=2)
    tasks = setup.search().finalists(1, seeds=3)

    def fail(number: int) -> None:
        if number == 0:
            raise TrainingDiverged("the training loss became nan after 128 images")

    _training_that(fail, setup)
    setup.search().repeat(tasks)
    record = next(r for r in read_study(setup.url).trials if r.number == tasks[0][0])
    assert record.lost_seeds == ((1, "TrainingDiverged: the training loss became nan after 128 images"),)
    assert [result.seed for result in record.results] == [0, 2]
    assert setup.search().finalists(1, seeds=3) == []
    from snsearch.pages.page import report_data

    [(what, reason)] = report_data(read_study(setup.url)).unscored
    assert what == f"#{record.number} seed 1 failed"
    assert "nan after 128 images" in reason


@pytest.mark.usefixtures("pretend")
def test_further_seeds_respect_the_time_limit(setup: Setup) -> None:
    log = Log()
    search = setup.search(log)
    search.run(trials=2)
    search.repeat(search.finalists(1, seeds=3), time_limit=0.0)
    assert log.repeats == []


def test_a_search_over_caps_only_runs_to_its_end(setup: Setup) -> None:
    class Capped(Setup):
        @property
        def budget(self) -> Budget:
            return replace(
                load_budget("stm32f746"), weight_bytes=60_000, resolution=(64, 64), classes=10, input_channels=1
            )

    capped = Capped(setup.folder)
    capped.search().run(trials=2)
    for trial in read_study(capped.url).candidates:
        assert trial.costs is not None
        assert trial.costs.weight_bytes <= 60_000
        assert trial.binding == "model_size"


STRICT = Rungs(at=(0.25, 0.5), keep=0.3, epsilon=0.0, fewest=3)


def _trials(record: StudyRecord) -> list[tuple[object, ...]]:
    return [(t.number, t.design, t.status, t.proxy and t.proxy.error, t.duplicate_of) for t in record.trials]


def test_a_beaten_candidate_is_stopped_at_a_rung_and_kept_with_its_score(setup: Setup) -> None:
    setup.rungs = replace(STRICT, at=(0.5,))
    log = Log()
    setup.search(log).run(trials=10)
    record = read_study(setup.url)
    stopped = [trial for trial in record.trials if trial.status == "stopped"]
    assert stopped
    for trial in stopped:
        assert trial.proxy is not None
        assert not trial.proxy.finished
        assert [point.images_seen for point in trial.curve] == [128]
        assert trial.curve == trial.proxy.curve
        assert trial.proxy.error == trial.curve[-1].test_error
        assert trial.reason == "stopped at 128 images: others beat it there"
        assert trial.cost is not None
        rivals = [
            other
            for other in record.trials
            if other.number < trial.number and other.cost is not None and other.cost <= trial.cost
        ]
        assert any(rival.curve[0].test_error < trial.curve[0].test_error for rival in rivals)
    assert len(explored(record.trials)) == 10 == len(log.ended_records)
    assert not set(stopped) & set(record.candidates)
    assert not list((setup.folder / "checkpoints").glob("*"))


@pytest.mark.usefixtures("pretend")
def test_published_designs_are_never_stopped(setup: Setup) -> None:
    setup.rungs = Rungs(at=(0.25,), keep=0.01, epsilon=0.0, fewest=1)
    setup.search().run(trials=20)
    record = read_study(setup.url)
    published = setup.candidates().published
    assert {t.status for t in record.trials if t.design in published} == {"complete"}
    assert {t.status for t in record.trials if t.design not in published} >= {"stopped"}


@pytest.mark.usefixtures("pretend")
def test_who_is_stopped_at_the_second_rung_got_past_the_first(setup: Setup) -> None:
    setup.rungs = STRICT
    setup.search().run(trials=24)
    ends = {len(t.curve) for t in read_study(setup.url).trials if t.status == "stopped"}
    assert ends <= {1, 2}
    assert {len(t.curve) for t in read_study(setup.url).candidates} == {4}


@pytest.mark.usefixtures("pretend")
def test_without_rungs_nobody_is_stopped(setup: Setup) -> None:
    setup.rungs = Rungs(at=())
    setup.search().run(trials=14)
    assert {t.status for t in read_study(setup.url).trials} == {"complete"}


@pytest.mark.usefixtures("pretend")
def test_a_network_that_was_stopped_is_not_tried_under_another_design(setup: Setup) -> None:
    setup.rungs = Rungs(at=(0.25,), keep=0.01, epsilon=0.0, fewest=1)
    search = setup.search()
    search.run(trials=12)
    stopped = next(t for t in read_study(setup.url).trials if t.status == "stopped")
    search.study.enqueue(stopped.design)
    search.run(trials=13)
    again = [t for t in read_study(setup.url).trials if t.design == stopped.design]
    assert [t.status for t in again] == ["stopped", "left out"]
    assert again[1].reason == f"the same network as #{stopped.number}, which was stopped early"


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("sampler", ["surrogate", "tpe", "nsga2", "gp", "random", "quasi-random"])
def test_every_sampler_finds_candidates_and_the_same_ones_for_the_same_seed(
    setup: Setup, tmp_path: Path, sampler: Sampler
) -> None:
    studies = []
    for folder in ("one", "other"):
        one = Setup(tmp_path / folder, sampler=sampler, rungs=STRICT, train=setup.train)
        one.search().run(trials=13)
        studies.append(read_study(one.url))
    assert _trials(studies[0]) == _trials(studies[1])
    tried = explored(studies[0].trials)
    assert len(tried) == 13
    assert len({t.architecture.key for t in tried if t.architecture}) == 13
    assert [t.design for t in studies[0].trials[:5]] == list(setup.candidates().published)


@pytest.mark.usefixtures("pretend")
def test_another_seed_searches_other_candidates(setup: Setup, tmp_path: Path) -> None:
    other = Setup(tmp_path / "other", seed=1, train=setup.train)
    for one in (setup, other):
        one.search().run(trials=9)
    assert {t.design for t in read_study(setup.url).trials} != {t.design for t in read_study(other.url).trials}


@pytest.mark.usefixtures("pretend")
def test_a_space_used_up_by_the_surrogate_ends_the_search(setup: Setup) -> None:
    setup.space = load_space("resnet")
    candidates = setup.candidates()
    assert setup.search().run(trials=1000) == f"all {candidates.count} candidates of the space are tried"
    assert len(explored(read_study(setup.url).trials)) == candidates.count


def test_a_search_that_is_interrupted_again_and_again_ends_as_an_uninterrupted_one(
    setup: Setup, tmp_path: Path
) -> None:
    train = pretended_training(_widest_is_best)
    whole = Setup(tmp_path / "whole", rungs=STRICT, train=train)
    whole.search().run(trials=16)

    calls = count(1)

    def interrupted_every_third(*arguments: object, **options: object) -> object:
        if next(calls) % 3 == 0:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    setup.train = interrupted_every_third
    setup.rungs = STRICT
    interruptions = 0
    while True:
        try:
            setup.search().run(trials=16)
        except KeyboardInterrupt:
            interruptions += 1
        else:
            break
    assert interruptions >= 7
    assert _trials(read_study(setup.url)) == _trials(read_study(whole.url))


@pytest.mark.long
def test_a_search_on_real_trainings_is_the_same_with_the_same_seed(setup: Setup, tmp_path: Path) -> None:
    again = Setup(tmp_path / "again", rungs=replace(STRICT, at=(0.5,)))
    setup.rungs = again.rungs
    for one in (setup, again):
        one.search().run(trials=8)
    assert _trials(read_study(setup.url)) == _trials(read_study(again.url))


def test_a_candidate_that_ran_out_of_memory_fails_alone_and_the_next_run_tries_it_again(setup: Setup) -> None:
    train = pretended_training(_widest_is_best)
    calls = count(0)

    def run_out(*arguments: Any, **options: Any) -> ProxyResult:
        if next(calls) in (1, 2, 3):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return train(*arguments, **options)

    setup.train = run_out
    setup.search().run(trials=4)
    record = read_study(setup.url)
    assert [t.status for t in record.trials[:7]] == ["complete", "failed", "failed", "failed", *["complete"] * 3]
    lost = record.trials[1:4]
    assert {t.reason for t in lost} == {
        "out of memory (OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB)"
    }
    assert [t.fault for t in record.trials[:5]] == [None, "memory", "memory", "memory", None]
    again = setup.search()
    again.prepare()
    again.run(trials=7)
    record = read_study(setup.url)
    assert [t.design for t in record.trials[-3:]] == [t.design for t in lost]
    assert [t.status for t in record.trials[-3:]] == ["complete"] * 3
    again.prepare()
    assert len(read_study(setup.url).trials) == len(record.trials)


def _run_out(*arguments: Any, **options: Any) -> ProxyResult:
    raise MemoryError


def test_first_candidates_that_run_out_of_memory_end_the_search_with_the_remedy(setup: Setup) -> None:
    setup.train = _run_out
    for _ in range(2):
        search = setup.search()
        search.prepare()
        with pytest.raises(StudyError, match="the first 3 trainings ran out of memory; with fewer --workers"):
            search.run(trials=9)
    assert [t.status for t in read_study(setup.url).trials].count("failed") == 6


def test_a_further_seed_that_ran_out_of_memory_is_left_to_the_next_run(setup: Setup) -> None:
    train = pretended_training(_widest_is_best)
    setup.train = train
    search = setup.search()
    search.run(trials=3)
    tasks = search.finalists(2, seeds=3)
    calls = count(0)

    def run_out(*arguments: Any, **options: Any) -> ProxyResult:
        if next(calls) == 1:
            raise MemoryError
        return train(*arguments, **options)

    setup.train = run_out
    log = Log()
    setup.search(log).repeat(tasks)
    assert log.postponed_names == [f"#{tasks[1][0]}, seed {tasks[1][1]}"]
    assert log.repeats == [tasks[0], *tasks[2:]]
    assert setup.search().finalists(2, seeds=3) == tasks[1:2]


def test_further_seeds_that_all_run_out_of_memory_name_the_remedy(setup: Setup) -> None:
    setup.train = pretended_training(_widest_is_best)
    search = setup.search()
    search.run(trials=3)
    tasks = search.finalists(2, seeds=3)
    setup.train = _run_out
    with pytest.raises(StudyError, match="the first 3 trainings ran out of memory; with fewer --workers"):
        setup.search().repeat(tasks)
    assert setup.search().finalists(2, seeds=3) == tasks


@pytest.mark.usefixtures("pretend")
def test_a_network_that_another_worker_has_just_taken_is_left_to_it(setup: Setup) -> None:
    search = setup.search()
    other = Study.open(setup.url, "digits", setup.settings())
    number, taken = other.ask(setup.candidates().choices)  # and has noted nothing of it yet
    search.study.enqueue(taken)
    search.run(trials=7)
    record = read_study(setup.url)
    same = [t for t in record.trials if t.design == taken]
    assert [(t.number, t.status) for t in same] == [(number, "running"), (5, "left out")]
    assert same[1].reason == "another worker is training the same network"
    assert len(explored(record.trials)) == 6, "with the one under way there are seven"
    other.close()


@pytest.mark.usefixtures("pretend")
def test_a_search_may_end_once_its_front_is_stable(setup: Setup) -> None:
    reason = setup.search().run(trials=200, stop_when_stable=True)
    assert reason.startswith("the front is stable: the last ")
    tried = explored(read_study(setup.url).trials)
    assert 10 < len(tried) < setup.candidates().count
    assert setup.search().run(trials=200, stop_when_stable=True) == reason, "and stays so"
    assert len(explored(read_study(setup.url).trials)) == len(tried)


def test_a_candidates_curve_is_in_the_study_while_it_is_trained(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.rungs = Rungs(at=())
    search = setup.search()
    seen: list[tuple[str, int]] = []
    goes_on = search_module.Search._judge

    def watched(self: search_module.Search, number: int, cost: float) -> Callable[..., bool]:
        judge = goes_on(self, number, cost)

        def on_point(curve: tuple[object, ...], whole: int) -> bool:
            result = judge(curve, whole)  # type: ignore[arg-type]
            record = next(r for r in read_study(setup.url).trials if r.number == number)
            assert [asdict(p) for p in record.curve] == [asdict(p) for p in curve]  # type: ignore[call-overload]
            seen.append((record.status, len(record.curve)))
            return result

        return on_point

    monkeypatch.setattr(search_module.Search, "_judge", watched)
    search.run(trials=6)
    assert seen == [("running", 1)], "the five published designs are not judged"
