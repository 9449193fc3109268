"""Searches: what they train, in which order, what survives a failure, an interruption or a death, how they end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from snsearch.errors import StudyError
from snsearch.network.arch import Architecture
from snsearch.solver.budget import Budget, load_budget
from snsearch.solver.candidates import candidates_of
from snsearch.solver.spec import load_space
from snsearch.study.effort import Effort
from snsearch.study.objective import OBJECTIVES
from snsearch.study.records import StudyRecord
from snsearch.study.sampler_names import Sampler
from snsearch.study.search.turns import Turns
from snsearch.study.settings import deployed
from snsearch.study.storage import Study
from snsearch.study.verdict import next_command, verdict_of
from snsearch.training.proxy import TrainingDiverged
from snsearch.training.recipe import ProxyResult
from snsearch.training.workers import Work
from tests.studies import QUICK, Log, Setup, pretended_training

LONGER = Effort(start=8, trainings=9.0, seeds=3)


def errors_of(arch: Architecture) -> tuple[float, ...]:
    """Errors at six points that fall with the width; no training is needed to know them."""
    last = 0.5 - 0.04 * (arch.stage_channels[-1] / 100)
    return tuple(last + 0.4 * (6 - point) / 6 for point in range(1, 7))


made_up = pretended_training(errors_of)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path, train=made_up)


def _training_that(action: Callable[[int], None]) -> Callable[..., ProxyResult]:
    """Lets the n-th training (from 0) do the action first; errors are made up."""
    calls = count()

    def train(*arguments: Any, **options: Any) -> ProxyResult:
        action(next(calls))
        return made_up(*arguments, **options)

    return train


def _trials(record: StudyRecord) -> list[tuple[object, ...]]:
    return [
        (t.number, t.design, t.status, t.proxy and (t.proxy.error, t.proxy.share), [r.seed for r in t.repeats])
        for t in record.trials
    ]


def test_a_bare_number_takes_channels_and_classes_from_the_data_and_a_named_budget_keeps_its_own(
    setup: Setup,
) -> None:
    bare = deployed(load_budget("40"), setup.dataset, named=False, classes=None)
    assert (bare.input_channels, bare.classes) == (1, 10)
    assert deployed(load_budget("40"), setup.dataset, named=False, classes=7).classes == 7
    named = load_budget("paper-38")
    assert deployed(named, setup.dataset, named=True, classes=None) == named


def test_the_shorter_short_trainings_are_the_more_networks_are_begun() -> None:
    assert QUICK.settled(None, 0.5).start == 6, "a few at least"
    assert QUICK.settled(None, 0.2).start == 10
    assert QUICK.settled(4, 0.2).start == 4
    longer = QUICK.settled(30, 0.2)
    assert (longer.start, longer.trainings) == (30, QUICK.trainings + 20 * 0.2)


def test_a_search_begins_with_the_published_designs_and_spends_its_effort(setup: Setup) -> None:
    log = Log()
    assert setup.search(log) == "the effort is spent"
    record = setup.study()
    published = setup.candidates().published
    begun = list(dict.fromkeys(trial.design for trial in record.trials))
    assert set(begun[: len(published)]) == set(published)
    assert {trial.design for trial in record.trials if trial.published} == set(published)
    assert record.lengths is not None
    assert len(begun) >= QUICK.settled(None, record.lengths.short).start
    assert {trial.status for trial in record.trials} == {"complete", "stopped"}
    for trial in record.trials:
        assert trial.proxy is not None
        assert trial.proxy.finished == (trial.status == "complete")
        assert trial.cost == setup.candidates().cost[trial.design]
        assert trial.proxy.seed == 0
    spent = sum(trial.proxy.share for trial in record.trials if trial.proxy)
    # Finalists that are not trained in full by then are, beyond the effort.
    assert QUICK.trainings - 1 < spent <= QUICK.trainings + 4
    assert log.begun_keys


def test_the_finalists_are_trained_by_seeds_that_did_not_choose_them_on_test_images(setup: Setup) -> None:
    log = Log()
    setup.search(log)
    record = setup.study()
    finalists = [trial for trial in record.trials if trial.finals]
    assert 3 <= len(finalists) <= 4
    for trial in finalists:
        assert trial.status == "complete"
        assert {result.seed for result in trial.finals} <= {1, 2}
        assert {result.scored_on for result in trial.finals} == {"test"}
    groups = {trial.architecture.groups[0] for trial in finalists if trial.published and trial.architecture}
    assert 3 in groups
    assert len(log.repeats) == sum(len(trial.finals) for trial in finalists)


def test_the_widest_network_is_found_and_the_verdict_says_so(setup: Setup) -> None:
    setup.search(effort=Effort(start=12, trainings=14.0, seeds=3))
    record = setup.study()
    verdict = verdict_of(record, 0.5)
    assert verdict is not None
    widths = sorted(s.architecture.stage_channels[-1] for s in setup.candidates().solutions.values())
    best = next(t for t in record.trials if t.number == verdict.most_accurate.trial)
    assert best.architecture is not None
    assert best.architecture.stage_channels[-1] >= widths[-6]
    assert verdict.decided, "made-up errors have no noise"
    assert next_command(record, verdict) is None


def test_the_same_seed_gives_the_same_study_and_another_seed_another(setup: Setup, tmp_path: Path) -> None:
    again, other = Setup(tmp_path / "again", train=made_up), Setup(tmp_path / "other", train=made_up, seed=1)
    for one in (setup, again, other):
        one.search()
    assert _trials(setup.study()) == _trials(again.study())
    assert {t.design for t in setup.study().trials} != {t.design for t in other.study().trials}


def test_a_search_that_is_interrupted_again_and_again_ends_as_an_uninterrupted_one(
    setup: Setup, tmp_path: Path
) -> None:
    setup.search()
    calls = count(1)

    def interrupted_every_third(*arguments: object, **options: object) -> object:
        if next(calls) % 3 == 0:
            raise KeyboardInterrupt
        return made_up(*arguments, **options)

    broken = Setup(tmp_path / "broken", train=interrupted_every_third)  # type: ignore[arg-type]
    interruptions = 0
    while True:
        try:
            broken.search()
        except KeyboardInterrupt:
            interruptions += 1
        else:
            break
    assert interruptions >= 5
    assert _trials(broken.study()) == _trials(setup.study())


@pytest.mark.long
def test_finalists_that_change_as_they_are_trained_are_those_of_an_uninterrupted_search(tmp_path: Path) -> None:
    def misleading(arch: Architecture) -> tuple[float, ...]:
        early, late = (random.Random(f"{arch.key} {when}").random() for when in ("early", "late"))
        return tuple((0.9 - 0.5 * early) * (6 - point) / 6 + (0.5 - 0.3 * late) * point / 6 for point in range(1, 7))

    train, tests = pretended_training(misleading), count(1)

    def interrupted_at_the_second_test(*arguments: Any, **options: Any) -> ProxyResult:
        if options["score_on"] == "test" and next(tests) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    def finalists(setup: Setup) -> set[int]:
        return {trial.number for trial in setup.study().trials if trial.finals}

    for seed in range(4):
        tests = count(1)
        whole = Setup(tmp_path / f"whole {seed}", train=train, seed=seed)
        whole.search()
        broken = Setup(tmp_path / f"broken {seed}", train=interrupted_at_the_second_test, seed=seed)
        with pytest.raises(KeyboardInterrupt):
            broken.search()
        assert len(finalists(broken)) == 1
        broken.search()
        assert _trials(broken.study()) == _trials(whole.study())
        assert finalists(broken) == finalists(whole)


def test_a_search_that_is_over_trains_nothing_more_and_a_greater_effort_goes_on(setup: Setup) -> None:
    setup.search()
    before, log = setup.study(), Log()
    setup.search(log)
    assert log.begun_keys == []
    setup.search(effort=LONGER)
    after = setup.study()
    assert len(after.trials) > len(before.trials)
    for old, new in zip(before.trials, after.trials, strict=False):
        assert (old.status, old.proxy) == (new.status, new.proxy), "a finished trial does not change"


def test_a_network_that_was_left_is_taken_up_again_in_a_new_trial(setup: Setup) -> None:
    setup.space = load_space("mobilenet-v1")  # four networks
    setup.search(effort=Effort(start=4, trainings=3.0, seeds=1))
    left = {trial.design for trial in setup.study().trials if trial.status == "stopped"}
    assert left
    setup.search(effort=Effort(start=4, trainings=30.0, seeds=2))
    again = [trial for trial in setup.study().trials if trial.design in left and trial.status == "complete"]
    assert again
    assert all(trial.proxy is not None and trial.proxy.finished for trial in again)


def test_at_least_so_many_candidates_are_tried(setup: Setup) -> None:
    setup.search(trials=15)
    assert len({trial.design for trial in setup.study().trials}) >= 15


def test_a_space_that_is_used_up_ends_the_search(setup: Setup) -> None:
    setup.space = load_space("mobilenet-v1")  # four designs: two depths, with and without SE
    assert setup.search(effort=Effort(start=4, trainings=20.0, seeds=2)) == "all 4 networks of the space are trained"
    assert len(setup.study().candidates) == 4


def test_a_search_over_caps_only_runs_to_its_end(setup: Setup) -> None:
    budget = replace(load_budget("stm32f746"), weight_bytes=60_000, resolution=(64, 64), classes=10, input_channels=1)

    class Capped(Setup):
        @property
        def budget(self) -> Budget:
            return budget

    capped = Capped(setup.folder, train=made_up)
    capped.search()
    for trial in capped.study().candidates:
        assert trial.costs is not None
        assert trial.costs.weight_bytes <= 60_000
        assert trial.binding == "model_size"


# How long trainings are.


def test_a_pilot_makes_trainings_longer_that_end_near_chance(setup: Setup) -> None:
    setup.pilot = True
    lengths: list[int] = []

    def train(arch: Architecture, *rest: Any, **options: Any) -> ProxyResult:
        recipe = rest[1]
        lengths.append(recipe.images * recipe.epochs)
        far = 0.7 if lengths[-1] < 4 * setup.recipe.images else 0.3
        return pretended_training(lambda _: tuple(far + 0.1 * point for point in range(5, -1, -1)))(
            arch, *rest, **options
        )

    setup.train = train
    setup.search()
    found = setup.study().lengths
    assert found is not None
    assert [attempt.images for attempt in found.tried] == [128, 256, 512], "half of each full length"
    assert lengths[:6] == [256, 256, 512, 512, 1024, 1024]
    assert set(lengths[6:]) == {1024}
    assert "a full training takes 1,024 images" in found.describe()


def test_a_short_training_is_as_short_as_it_has_left_chance(setup: Setup) -> None:
    curve = (0.89, 0.85, 0.3, 0.25, 0.22, 0.2)
    setup.train = pretended_training(lambda _: curve)
    setup.search()
    lengths = setup.study().lengths
    assert lengths is not None
    assert lengths.short == pytest.approx(0.5)
    assert lengths.chance == pytest.approx(0.9, abs=0.01)


def test_what_is_kept_leaves_no_checkpoint_and_the_finalists_weights_stay(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.search(effort=Effort(start=3, trainings=3.0, seeds=1))
    record = setup.study()
    left = [trial for trial in record.trials if trial.status == "stopped"]
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == len(left)
    from snsearch.training.weights_file import read_weights

    for trial in record.trials:
        if trial.finals:
            _, training = read_weights(tmp_path / "weights" / f"{trial.number}.safetensors")
            assert training is not None
            assert training.seed == 1
            assert training.test_error == trial.finals[0].error


# Failures.


@pytest.mark.long
def test_a_state_that_cannot_be_saved_ends_the_search_and_fails_no_candidate(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    (tmp_path / "checkpoints").write_text("in the way", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be written"):
        setup.search()
    assert not [trial for trial in setup.study().trials if trial.status == "failed"]
    (tmp_path / "checkpoints").unlink()
    setup.search(effort=Effort(start=3, trainings=2.0, seeds=1))
    assert setup.study().candidates


def test_a_failing_candidate_is_recorded_with_its_reason_and_the_search_goes_on(setup: Setup) -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise TrainingDiverged("the training loss became nan after 128 images")

    setup.train = _training_that(fail)
    log = Log()
    assert setup.search(log) == "the effort is spent"
    failed = [trial for trial in setup.study().trials if trial.status == "failed"]
    assert [t.reason for t in failed] == ["TrainingDiverged: the training loss became nan after 128 images"]
    assert failed[0].number in {record.number for record in log.ended_records}
    assert failed[0].fault is None


def test_failures_in_a_row_end_the_search_with_the_last_reason(setup: Setup) -> None:
    def fail(number: int) -> None:
        if number > 1:
            raise RuntimeError("no such kernel")

    setup.train = _training_that(fail)
    with pytest.raises(StudyError, match=r"3 candidates in a row failed; the last: RuntimeError: no such kernel"):
        setup.search()


def test_a_pilot_that_fails_ends_the_search_with_its_reason(setup: Setup) -> None:
    def fail(number: int) -> None:
        raise RuntimeError("no such kernel")

    setup.train = _training_that(fail)
    with pytest.raises(StudyError, match="the pilot's trainings failed: RuntimeError: no such kernel"):
        setup.search()


def test_a_candidate_that_ran_out_of_memory_fails_alone_and_the_next_run_tries_it_again(setup: Setup) -> None:
    def run_out(number: int) -> None:
        if number in (3, 4):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    setup.train = _training_that(run_out)
    setup.search()
    lost = [trial for trial in setup.study().trials if trial.status == "failed"]
    assert [trial.fault for trial in lost] == ["memory", "memory"]
    assert lost[0].reason == "out of memory (OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB)"
    setup.train = made_up
    setup.search(effort=LONGER)
    again = {trial.design for trial in setup.study().trials if trial.status != "failed"}
    assert {trial.design for trial in lost} <= again


def test_trainings_in_a_row_that_run_out_of_memory_end_the_search_with_the_remedy(setup: Setup) -> None:
    def run_out(number: int) -> None:
        if number > 1:
            raise MemoryError

    setup.train = _training_that(run_out)
    with pytest.raises(StudyError, match="3 trainings in a row ran out of memory; with fewer --workers"):
        setup.search()


def test_a_finalists_seed_that_fails_is_kept_with_its_reason_and_not_tried_again(setup: Setup) -> None:
    failed: list[int] = []

    def train(*arguments: Any, **options: Any) -> ProxyResult:
        if options["seed"] == 1 and not failed:
            failed.append(1)
            raise TrainingDiverged("the training loss became nan after 128 images")
        return made_up(*arguments, **options)

    setup.train = train
    setup.search()
    [lost] = [trial for trial in setup.study().trials if trial.lost_seeds]
    assert lost.lost_seeds == ((1, "TrainingDiverged: the training loss became nan after 128 images"),)
    log = Log()
    setup.search(log)
    assert log.begun_keys == []


def test_a_finalists_seed_that_ran_out_of_memory_is_left_to_the_next_run(setup: Setup) -> None:
    failed: list[int] = []

    def train(*arguments: Any, **options: Any) -> ProxyResult:
        if options["seed"] == 1 and not failed:
            failed.append(1)
            raise MemoryError
        return made_up(*arguments, **options)

    setup.train = train
    log = Log()
    setup.search(log)
    assert len(log.postponed_names) == 1
    again = Log()
    setup.search(again)
    assert [seed for _, seed in again.repeats][:1] == [1]


# Time, interruptions and deaths.


def slow_training(arch: Architecture, *arguments: Any, **options: Any) -> ProxyResult:
    """A full training takes 1,000 seconds, its quarter 250."""
    result = pretended_training(lambda _: (0.6, 0.4, 0.3, 0.2))(arch, *arguments, **options)
    return replace(result, seconds=1000 * result.share)


def test_a_time_limit_ends_the_search_and_its_finalists(tmp_path: Path) -> None:
    setup = Setup(tmp_path, train=slow_training)
    ended = setup.search(time_limit=1800.0)  # 2,000 seconds of the first two, a quarter of which is done to know it
    assert ended.startswith("the time limit leaves no room for more; not compared with the published designs for g=")
    assert "g=3" in ended, "the pilot's networks are the first and the last of the published ones"
    record = setup.study()
    assert len(record.trials) == 2, "the pilot's networks"
    assert record.lacking == ("2", "3", "4")
    assert {result.share for trial in record.trials for result in trial.finals} == {0.5}, "cut alike"
    found = verdict_of(record)
    assert found is not None
    assert not found.pick.full
    setup.search()
    record = setup.study()
    found = verdict_of(record)
    assert found is not None
    assert found.pick.full, "the same command without a limit trains on what was cut"
    assert [trial.number for trial in record.trials][:2] == [0, 1], "what was cut goes on under its number"
    assert {trial.status for trial in record.trials[:2]} <= {"complete", "stopped"}
    assert record.lacking == ()
    compared = [found.pick, *found.against, *found.others]
    assert len({one.key for one in compared}) == len(record.finals) >= 2, "each network once"
    assert {result.share for results in record.finals.values() for result in results} == {1.0}


def test_a_time_limit_that_the_first_trainings_would_outlast_ends_them_at_their_first_points(tmp_path: Path) -> None:
    setup = Setup(tmp_path, train=slow_training)
    ended = setup.search(time_limit=400.0)
    assert ended.startswith("the time limit leaves no room for its first 2 trainings")
    assert "about 16 min 40 s here" in ended
    record = setup.study()
    assert record.trials == ()
    assert verdict_of(record, 0.5) is None
    assert next_command(record, None) == "snsearch search"
    assert setup.search() == "the effort is spent", "a longer limit, or none, goes on"


def test_a_search_that_is_asked_to_stop_ends_at_the_next_step_and_is_usable(tmp_path: Path) -> None:
    setup, log = Setup(tmp_path), Log()
    setup.recipe = replace(setup.recipe, images=1458, batch_size=16)
    with pytest.raises(KeyboardInterrupt):
        setup.search(log, stop=lambda: log.batches >= 3)
    assert log.batches == 3
    assert setup.study().trials == ()


@pytest.mark.parametrize("noted", [{}, {"costs": None, "cost": 1.0}])
def test_a_trial_that_a_killed_search_had_just_begun_is_left_out_and_its_network_tried(
    setup: Setup, noted: dict[str, Any]
) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    candidates = setup.candidates()
    design = candidates.published[0]
    number = study.begin(candidates.parameters, candidates.values[design], {})
    study.note(number, **noted)
    study.close()
    assert setup.search() == "the effort is spent"
    record = setup.study()
    assert record.trials[0].status == "left out"
    assert design in {trial.design for trial in record.trials if trial.proxy is not None}


def die_of_one(arch: Architecture, *arguments: Any, **options: Any) -> ProxyResult:
    """A training whose process is killed for one of the published designs."""
    if arch.groups[0] == 4 and arch.stem_channels == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return made_up(arch, *arguments, **options)


@pytest.mark.long
def test_a_candidate_that_kills_its_process_fails_and_the_search_goes_on(setup: Setup) -> None:
    setup.train, setup.workers = die_of_one, 2
    assert setup.search(effort=Effort(start=6, trainings=4.0, seeds=1)) == "the effort is spent"
    failed = {trial.design.groups: trial.reason for trial in setup.study().trials if trial.status == "failed"}
    assert failed[4] == "its process died 3 times, from memory perhaps"


@pytest.mark.long
def test_several_processes_train_what_one_does_not_need_to(setup: Setup) -> None:
    setup.train, setup.workers = made_up_anywhere, 2
    assert setup.search() == "the effort is spent"
    assert verdict_of(setup.study(), 0.5) is not None


@pytest.mark.long
def test_two_workers_of_any_speed_train_the_same_for_the_same_seed(tmp_path: Path) -> None:
    studies = []
    for folder in ("one", "other"):
        one = Setup(tmp_path / folder, train=made_up_at_any_speed, workers=2)
        assert one.search(effort=LONGER) == "the effort is spent"
        studies.append(one.study())
    assert _trials(studies[0]) == _trials(studies[1])
    assert verdict_of(studies[0]) == verdict_of(studies[1])


def made_up_at_any_speed(*arguments: Any, **options: Any) -> ProxyResult:
    """Takes up to 0.2 seconds, whatever the seed."""
    time.sleep(0.2 * random.SystemRandom().random())
    return made_up(*arguments, **options)


def test_results_count_in_the_order_in_which_their_trainings_were_begun() -> None:
    kept: list[Any] = []
    turns = Turns(2)
    works = [turns.put(Work(task=n, done=kept.append, lost=kept.append)) for n in range(4)]
    assert turns.full
    works[1].done("second")
    works[2].lost("third")
    assert not turns.count(), "the first has not ended"
    assert kept == []
    works[0].done("first")
    while turns.count():
        pass
    assert kept == ["first", "second", "third"]
    turns.count_all()
    assert kept == ["first", "second", "third"], "the fourth was stopped"


def test_results_of_machines_of_unequal_speed_count_as_they_come() -> None:
    kept: list[Any] = []
    turns = Turns(None)
    works = [turns.put(Work(task=n, done=kept.append, lost=kept.append)) for n in range(9)]
    works[5].done("sixth")
    assert kept == ["sixth"]
    assert not turns.full


def made_up_anywhere(*arguments: Any, **options: Any) -> ProxyResult:
    """Importable, which other processes need."""
    return made_up(*arguments, **options)


def test_any_executor_takes_the_pieces(setup: Setup) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert setup.search(executor=executor, workers=2) == "the effort is spent"
    assert verdict_of(setup.study(), 0.5) is not None


# Another process that holds the study: its URL and settings are on the command line.
_HOLD = """
import json, sys
from snsearch.codec import decode
from snsearch.study.records import Settings
from snsearch.study.storage import Study
study = Study.open(sys.argv[1], "digits", decode(Settings, json.loads(sys.argv[2]), "it"))
print("ready", flush=True)
input()
"""


@pytest.mark.parametrize(
    "storage", ["sqlite", *(pytest.param(kind, marks=pytest.mark.server) for kind in ("postgresql", "mariadb"))]
)
def test_a_second_search_is_refused_by_name_and_a_dead_one_is_no_hindrance(
    setup: Setup, storage: str, request: pytest.FixtureRequest
) -> None:
    import json

    from snsearch.codec import encode

    if storage != "sqlite":
        setup.storage = request.getfixturevalue(storage)
    command = [sys.executable, "-c", _HOLD, setup.url, json.dumps(encode(setup.settings()))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(
            StudyError, match=rf"(?s)another search is at work on .*process {other.pid} of this machine"
        ):
            Study.open(setup.url, "digits", setup.settings())
        other.kill()
    assert setup.search() == "the effort is spent"


# Optuna's samplers.


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random", "quasi-random"])
def test_every_sampler_finds_candidates_and_the_same_ones_for_the_same_seed(
    setup: Setup, tmp_path: Path, sampler: Sampler
) -> None:
    studies = []
    for folder in ("one", "other"):
        one = Setup(tmp_path / folder, sampler=sampler, train=made_up)
        one.search(effort=Effort(start=6, trainings=14.0, seeds=1))
        studies.append(one.study())
    assert _trials(studies[0]) == _trials(studies[1])
    trained = studies[0].candidates
    assert len(trained) >= 12
    assert len({trial.architecture.key for trial in trained if trial.architecture}) == len(trained)


def test_networks_without_shuffle_are_searched_where_asked(setup: Setup) -> None:
    found = candidates_of(setup.space, setup.budget, tight=False, search_shuffle=True, cost=OBJECTIVES["counted"].of)
    settings = replace(setup.settings(), search_shuffle=True, tight=False)
    setup.search(candidates=found, settings=settings)
    assert {trial.design.shuffle for trial in setup.study().trials} == {True, False}


def test_settings_that_differ_name_the_options_that_decide_them(setup: Setup) -> None:
    made = setup.settings()
    others = {
        "--full-images": {"recipe": replace(made.recipe, images=1)},
        "--recipe": {"recipe": replace(made.recipe, learning_rate=1.0)},
        "--resolution": {"budget": replace(made.budget, resolution=(9, 9))},
        "--budget": {"budget": replace(made.budget, name="own", macs=1)},
        "--latency": {"budget": replace(made.budget, name="12 ms", latency_ms=12.0)},
        "--tight": {"tight": not made.tight},
        "--search-shuffle": {"search_shuffle": not made.search_shuffle},
        "--seed": {"seed": made.seed + 1},
        "--space": {"space_digest": "another"},
        "--sampler": {"sampler": "random"},
        "--objective": {"cost_name": "another"},
    }
    for option, change in others.items():
        [line] = replace(made, **change).difference(made)  # type: ignore[arg-type]
        assert line.startswith(option)
