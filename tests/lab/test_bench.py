"""The bench: its files, how reliable its tables are, and methods replayed on them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snsearch.errors import StudyError
from snsearch.lab.bench import claims, files, reliability
from snsearch.lab.bench.methods import BENCH_METHODS, Answer, check_methods
from snsearch.lab.bench.replays import replay
from snsearch.lab.bench.tables import Table, complete_tables, read_table, table_summaries
from snsearch.lab.logs import TrainingLog
from snsearch.network import Architecture
from snsearch.study import Space, features_of

Run = Callable[..., Any]


def member(label: str, *, published: bool = False) -> files.Member:
    return files.Member(label=label, space="shufflenet-v1", published=published, key=label, macs=1, params=1)


def test_components_of_errors_that_can_be_taken_apart_by_hand() -> None:
    # Member means 10, 20, 30; seed effects -1 and +1; the rest is +1 -1 / -1 +1 / 0 0.
    errors = np.array([[10.0, 10.0], [18.0, 22.0], [29.0, 31.0]])
    found = reliability.components(errors)
    noise = 4 / 2  # four squares of 1, (3 - 1)(2 - 1) degrees of freedom
    spread = (2 * 200 / 2 - noise) / 2  # mean square of members 200; two seeds
    assert found.noise == pytest.approx(math.sqrt(noise))
    assert found.spread == pytest.approx(math.sqrt(spread))
    assert found.reliability == pytest.approx(spread / (spread + noise / 2))


def test_what_all_seeds_shift_alike_is_no_noise() -> None:
    errors = np.array([[1.0], [3.0], [6.0]]) + np.array([[0.0, 5.0, -2.0]])
    found = reliability.components(errors)
    assert found.noise == pytest.approx(0)
    assert found.reliability == pytest.approx(1)


def test_members_that_differ_less_than_their_noise_have_no_spread() -> None:
    found = reliability.components(np.array([[1.0, 3.0], [3.0, 1.0]]))
    assert found.spread == 0
    assert found.reliability == 0


def test_more_seeds_make_a_mean_more_reliable() -> None:
    assert reliability.reliability_of(1.0, 1.0, 1) == 0.5
    assert reliability.reliability_of(1.0, 1.0, 3) == 0.75
    assert reliability.reliability_of(0.0, 0.0, 3) == 0


def test_components_recover_what_the_errors_were_drawn_from() -> None:
    random = np.random.default_rng(0)
    errors = 20 + random.normal(0, 2, (4000, 1)) + random.normal(0, 0.5, (4000, 3))
    found = reliability.components(errors)
    assert found.spread == pytest.approx(2, rel=0.05)
    assert found.noise == pytest.approx(0.5, rel=0.05)
    low, high = reliability.interval(errors[:40], draws=200)
    assert low < found.reliability < high


def test_a_single_seed_has_no_noise_to_estimate() -> None:
    with pytest.raises(ValueError, match="two members and two seeds"):
        reliability.components(np.array([[1.0], [2.0]]))


def test_right_answers_survive_packing(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).random(4001) < 0.7
    path = tmp_path / "correct.csv"
    files.append_correct(path, ("v1 a", "d1", 0), bits)
    files.append_correct(path, ("v1 a", "d1", 1), ~bits)
    found = files.read_correct(path)
    assert np.array_equal(found["v1 a", "d1", 0], bits)
    assert np.array_equal(found["v1 a", "d1", 1], ~bits)
    with path.open(newline="") as file:  # a plain CSV for other tools
        assert [len(row) for row in csv.reader(file)] == [5, 5]


def test_right_answers_that_a_killed_run_left_torn_are_written_over(tmp_path: Path) -> None:
    bits = np.array([True, False, True])
    path = tmp_path / "correct.csv"
    files.append_correct(path, ("a", "d", 0), bits)
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert set(files.read_correct(path)) == {("a", "d", 0)}
        files.append_correct(path, ("b", "d", 0), ~bits)
        found = files.read_correct(path)
        assert set(found) == {("a", "d", 0), ("b", "d", 0)}
        assert np.array_equal(found["b", "d", 0], ~bits)


def test_members_survive_their_file(tmp_path: Path) -> None:
    own = (member("v1 g1 0.5x paper", published=True), member("v1 g3 1x deep se"))
    files.write_members(tmp_path / "set" / "members.csv", own)
    assert files.read_members(tmp_path / "set" / "members.csv") == own


def test_a_recipe_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    one = files.FrozenSet(
        name="scenes", held_out=True, budget_mflops=10.0, fingerprint="ab", recipe={"images": 100, "epochs": 3}
    )
    files.write_frozen(path, [one], 1.25)
    assert files.read_frozen(path) == ({"scenes": one}, 1.25)
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(ValueError, match="changed after it was frozen"):
        files.read_frozen(path)


def test_the_committed_results_fit_their_recipe_and_members() -> None:
    frozen, _ = files.read_frozen(files.RESULTS / "recipe.json")
    assert sum(one.held_out for one in frozen.values()) == 1
    for name, one in frozen.items():
        labels = {own.label for own in files.read_members(files.RESULTS / name / "members.csv")}
        path = files.RESULTS / name / "trainings.csv"
        curves = TrainingLog(path).read()
        right = files.read_correct(files.RESULTS / name / "correct.csv") if path.exists() else {}
        for identity, curve in curves.items():
            assert identity[0] in labels
            assert identity[1] == one.digest
            assert len(curve) >= 8
            assert 1 - right[identity].mean() == pytest.approx(curve[-1].test_error, abs=2e-6)


def made_up_table(noise: float, networks: int = 18) -> Table:
    """A table of networks whose errors fall with the width; short training has them all nearer to chance."""
    archs = tuple(
        Architecture.from_key(f"shufflenet.g{g}.b4.shuffle_stem12s2p_{w}x4s2-{2 * w}x8s2-{4 * w}x4s2_1x96x96_c10")
        for g in (1, 2, 4)
        for w in range(64, 160, 16)
    )[:networks]
    random = np.random.default_rng(0)
    truth = np.array([0.5 - arch.stage_channels[-1] / 2000 for arch in archs])
    final = truth + noise * random.normal(size=(3, len(archs)))
    points = np.arange(1, 13) / 12
    return Table(
        name="made-up",
        data="none",
        held_out=False,
        budget_mflops=10.0,
        archs=archs,
        published=(0, 6, 12),
        errors=final[:, :, None] + (1 - points) * (0.9 - final[:, :, None]),
        costs=(1.0,) * len(archs),
        scores={"width": -np.array([float(arch.stage_channels[-1]) for arch in archs])},
    )


def test_a_replayed_search_finds_the_best_by_a_fraction_of_all_trainings() -> None:
    found = {one.method: one for one in replay(made_up_table(noise=0.002), [*BENCH_METHODS, "width"], replays=6)}
    search = found["search"]
    assert (search.members, search.seeds, search.replays) == (18, 3, 6)
    assert search.regret <= found["random"].mean_regret + 0.3
    assert search.tau is not None
    assert search.tau_interval is not None
    assert search.tau_interval[0] <= search.tau <= search.tau_interval[1] + 0.1
    assert search.tau > 0.6
    assert search.top5_recall is not None
    assert set(search.better_than) == set(found) - {"search"}
    assert found["random"].tau is None
    assert found["everything"].tau == pytest.approx(search.tau_ceiling)
    assert found["width"].tau is not None
    assert found["width"].tau > 0.9


@pytest.mark.parametrize("method", BENCH_METHODS)
def test_the_same_draw_gives_the_same_answer(method: str) -> None:
    table = made_up_table(noise=0.01)
    space = Space(features_of(table.archs))
    one, other = (BENCH_METHODS[method](table, space, 0, 3, 8.0) for _ in range(2))
    assert (one.pick(), list(one.trained)) == (other.pick(), list(other.trained))


@pytest.mark.parametrize("compute", [4.0, 10.0, 40.0])
@pytest.mark.parametrize("method", ["random", "short", "tpe-hyperband", "search"])
def test_a_method_reads_no_more_than_it_pays_for(method: str, compute: float) -> None:
    table = made_up_table(noise=0.01)
    read = np.zeros(table.errors.shape[1:], dtype=bool)

    class Watched(np.ndarray[Any, Any]):
        def __getitem__(self, at: Any) -> Any:
            if isinstance(at, tuple) and len(at) == 3 and all(isinstance(one, int | np.integer) for one in at):
                read[at[1], : at[2] + 1] = True
            return super().__getitem__(at)

    watched = table.errors.view(Watched)
    from dataclasses import replace

    answer = BENCH_METHODS[method](replace(table, errors=watched), Space(features_of(table.archs)), 0, 0, compute)
    for at in answer.trained:
        read[at] = True
    if method == "short":
        read[np.random.default_rng(0).permutation(len(read))[: int(compute / 2 * read.shape[1])], 0] = True
    assert read.sum() <= compute * read.shape[1] + 4  # a step of the search is not cut short


def test_regret_is_judged_by_seeds_that_a_replay_does_not_see() -> None:
    table = made_up_table(noise=0.05)
    table.errors[0, 3, -1] = -1.0  # the first seed says that network 3 is the best by far
    assert int(np.argmin(table.truth_without(0))) != 3
    assert int(np.argmin(table.judged_without(1))) == 3


def test_a_pick_is_the_best_of_the_trained_that_are_present() -> None:
    answer = Answer(trained=[2, 0], belief=np.array([0.3, 0.1, 0.2]))
    assert answer.pick() == 2
    assert answer.pick(np.array([True, True, False])) == 0
    assert answer.pick(np.array([False, True, False])) is None


def test_tables_that_come_with_snsearch_are_complete_or_say_so() -> None:
    summaries = {one.name: one for one in table_summaries()}
    whole = {table.name for table in complete_tables()}
    assert {"emoji", "glyphs"} <= whole
    for name, one in summaries.items():
        assert (one.reliability is not None) == (name in whole)
        if name not in whole:
            with pytest.raises(StudyError, match="two are needed"):
                read_table(name)


def test_a_wrong_method_is_named_with_what_there_is() -> None:
    with pytest.raises(StudyError, match="did you mean"):
        check_methods(["search", "widht"], made_up_table(noise=0.01))


def test_bench_show_prints_one_record_a_table_without_a_null(run: Run) -> None:
    outcome = run("bench", "show", "emoji", "--replays", "2", "--format", "json")
    assert outcome.code == 0, outcome.err
    [record] = json.loads(outcome.out)
    assert {
        "table", "data", "budget_mflops", "members", "seeds", "reliability", "held_out", "compute_in_full_trainings",
        "tau_b", "tau_interval", "tau_ceiling", "top5_recall", "regret_sd", "better_than",
    } <= set(record)  # fmt: skip
    assert None not in record.values()
    assert record["compute_in_full_trainings"] == 10
    assert set(record["better_than"]) == set(BENCH_METHODS) - {"search"}


def test_bench_lists_and_replays(run: Run) -> None:
    listed = json.loads(run("bench", "list", "--format", "json").out)["tables"]
    assert [one["table"] for one in listed if one["held_out"]] == ["scenes"]
    outcome = run("bench", "replay", "random", "published", "--table", "glyphs", "--compute", "3,5", "--replays", "2",
                  "--format", "json")  # fmt: skip
    rows = json.loads(outcome.out)
    assert [(row["method"], row["compute_in_full_trainings"]) for row in rows] == [
        ("random", 3), ("published", 5), ("random", 5), ("published", 5),
    ]  # fmt: skip


def _rights(deviation: float, networks: int = 12, seeds: int = 3) -> dict[str, dict[int, np.ndarray[Any, Any]]]:
    """Right answers of networks of equal quality, whose errors move by the seed."""
    random = np.random.default_rng(0)
    return {
        f"n{at}": {seed: random.random(2000) > 0.3 + random.normal(0, deviation) for seed in range(seeds)}
        for at in range(networks)
    }


def test_claims_of_verdicts_hold_where_the_noise_is_what_it_says() -> None:
    random = np.random.default_rng
    held = [one for draw in range(60) for one in claims._verdict(_rights(0.02), [0, 1, 2], random(draw))]
    assert len(held) == 180
    assert np.mean(held) > 0.9


def test_claims_do_not_hold_where_the_judging_seed_sees_another_order() -> None:
    rights = _rights(0.0)
    rights["n0"][2] = np.random.default_rng(1).random(2000) > 0.6
    held = [one for draw in range(60) for one in claims._verdict(rights, [0, 1, 2], np.random.default_rng(draw))]
    assert 0.5 < np.mean(held) < 1


def test_bench_counts_the_claims_that_hold(run: Run) -> None:
    [row] = json.loads(run("bench", "claims", "glyphs", "--verdicts", "20", "--format", "json").out)
    assert row["claims"] == 60
    assert row["held_interval"][0] <= row["held"] <= row["held_interval"][1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("claims", "nosuch"), 6),
        (("show", "nosuch"), 6),
        (("replay", "nosuch"), 6),
        (("replay", "search", "--compute", "1"), 2),
        (("replay",), 2),
    ],
)
def test_bad_input_to_the_bench_gets_one_message(run: Run, arguments: tuple[str, ...], code: int) -> None:
    outcome = run("bench", *arguments)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err
