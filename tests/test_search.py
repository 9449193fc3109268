"""The search: every candidate meets the budget, none is trained twice, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch import search as search_module
from snsearch.candidates import MATCH_LIMIT, candidates_of, mac_and_bytes_cost
from snsearch.costs import count_costs
from snsearch.errors import InfeasibleBudgetError, SpecError, StudyError
from snsearch.proxy import TrainingDiverged
from snsearch.search import deployed
from snsearch.spec import Budget, load_budget, load_space
from snsearch.study import read_study
from tests.studies import Log, Setup


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_candidates_meet_40_mflops_within_a_thousandth_or_say_how_near_they_came() -> None:
    found = candidates_of(load_space("shufflenet-v1"), load_budget("40"), tight=True, search_shuffle=False)
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
    found = candidates_of(load_space("shufflenet-v1"), load_budget("13"), tight=False, search_shuffle=False)
    assert found.left_out
    assert all(abs(s.deviation or 0) <= MATCH_LIMIT for s in found.solutions.values())
    assert any("comes no nearer than" in reason for reason in found.left_out.values())


def test_caps_alone_make_candidates_that_respect_them() -> None:
    budget = load_budget("stm32f746")
    found = candidates_of(load_space("mobilenet-v1"), budget, tight=True, search_shuffle=False)
    for solution in found.solutions.values():
        assert solution.costs.weight_bytes <= (budget.weight_bytes or 0)
        assert solution.costs.peak_activation_bytes <= (budget.peak_activation_bytes or 0)


def test_a_budget_that_no_design_meets_is_infeasible() -> None:
    with pytest.raises(InfeasibleBudgetError, match="no design of shufflenet-v1"):
        candidates_of(load_space("shufflenet-v1"), load_budget("0.01"), tight=True, search_shuffle=False)


def test_shuffle_is_searched_where_asked_and_possible() -> None:
    with_it = candidates_of(load_space("shufflenet-v1"), load_budget("40"), tight=True, search_shuffle=True)
    assert {design.shuffle for design in with_it.solutions} == {True, False}
    with pytest.raises(SpecError, match="no switch for shuffle"):
        candidates_of(load_space("resnet"), load_budget("40"), tight=True, search_shuffle=True)


def test_the_published_designs_are_the_default_depth_of_every_group_count_at_the_fitting_scale() -> None:
    found = candidates_of(load_space("shufflenet-v1"), load_budget("140"), tight=True, search_shuffle=False)
    assert [(d.groups, d.scale, d.depth, d.se) for d in found.published] == [
        (g, 1.0, "paper", False) for g in (1, 2, 3, 4, 8)
    ]


def test_the_cost_is_the_counted_macs_and_bytes() -> None:
    solution = next(
        iter(
            candidates_of(
                load_space("resnet"), load_budget("40"), tight=True, search_shuffle=False
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


def test_the_same_seed_gives_the_same_study_and_the_same_command_goes_on(setup: Setup, tmp_path: Path) -> None:
    setup.search().run(trials=7)
    one = Setup(tmp_path / "again")
    one.search().run(trials=3)
    log = Log()
    one.search(log).run(trials=7)
    assert len(log.begun_keys) == 4, "what the first run trained is not trained again"
    first, second = (read_study(s.url).candidates for s in (setup, one))
    assert [(t.design, t.proxy.error if t.proxy else None) for t in first[:5]] == [
        (t.design, t.proxy.error if t.proxy else None) for t in second[:5]
    ]
    again = Setup(tmp_path / "third")
    again.search().run(trials=7)
    third = read_study(again.url).candidates
    assert [(t.design, t.proxy.loss if t.proxy else None) for t in first] == [
        (t.design, t.proxy.loss if t.proxy else None) for t in third
    ]


def test_a_finished_search_trains_nothing_more(setup: Setup) -> None:
    setup.search().run(trials=2)
    log = Log()
    assert setup.search(log).run(trials=2) == "2 candidates are tried"
    assert log.begun_keys == []


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


def test_a_space_that_is_used_up_ends_the_search(setup: Setup) -> None:
    # MobileNet has four designs: two depths, with and without SE.
    setup.space = load_space("mobilenet-v1")
    reason = setup.search().run(trials=50)
    record = read_study(setup.url)
    assert reason == "all 4 candidates of the space are tried"
    assert len(record.candidates) == 4


def test_a_time_limit_begins_no_further_candidate(setup: Setup) -> None:
    assert setup.search().run(trials=9, time_limit=0.0001) == "the time limit leaves no room for another candidate"
    assert len(read_study(setup.url).candidates) <= 1


def _training_that(action: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the n-th training (from 0) of a search do the action first."""
    real = search_module.train_proxy
    count = iter(range(1000))

    def train(*arguments: object, **options: object) -> object:
        action(next(count))
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(search_module, "train_proxy", train)


def test_an_interrupted_search_is_usable_and_takes_the_candidate_up_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    _training_that(interrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        setup.search().run(trials=4)
    left = read_study(setup.url)
    assert [t.status for t in left.trials[:3]] == ["complete", "complete", "interrupted"]
    setup.search().run(trials=5)
    record = read_study(setup.url)
    assert len(record.candidates) == 5
    assert {t.design for t in record.candidates} == set(setup.candidates().published)


def test_an_interrupted_candidate_comes_before_those_that_wait(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(number: int) -> None:
        if number == 0:
            raise KeyboardInterrupt

    _training_that(interrupt, monkeypatch)
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


def test_a_failing_candidate_is_recorded_with_its_reason_and_the_search_goes_on(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise TrainingDiverged("the training loss became nan after 128 images")

    _training_that(fail, monkeypatch)
    log = Log()
    setup.search(log).run(trials=3)
    record = read_study(setup.url)
    failed = [t for t in record.trials if t.status == "failed"]
    assert [t.reason for t in failed] == ["TrainingDiverged: the training loss became nan after 128 images"]
    assert failed[0].number in {r.number for r in log.ended_records}
    assert len(record.candidates) == 3


def test_failures_in_a_row_end_the_search_with_the_last_reason(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> None:
        raise RuntimeError("out of memory")

    _training_that(fail, monkeypatch)
    with pytest.raises(StudyError, match=r"3 candidates in a row failed; the last: RuntimeError: out of memory"):
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


def test_a_further_seed_that_fails_is_kept_with_its_reason_and_not_tried_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.search().run(trials=2)
    tasks = setup.search().finalists(1, seeds=3)

    def fail(number: int) -> None:
        if number == 0:
            raise TrainingDiverged("the training loss became nan after 128 images")

    _training_that(fail, monkeypatch)
    setup.search().repeat(tasks)
    record = next(r for r in read_study(setup.url).trials if r.number == tasks[0][0])
    assert record.lost_seeds == ((1, "TrainingDiverged: the training loss became nan after 128 images"),)
    assert [result.seed for result in record.results] == [0, 2]
    assert setup.search().finalists(1, seeds=3) == []
    from snsearch.report import report_data

    [(what, reason)] = report_data(read_study(setup.url)).unscored
    assert what == f"#{record.number} seed 1 failed"
    assert "nan after 128 images" in reason


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
