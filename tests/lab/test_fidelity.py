"""Fidelity on made-up sets whose right answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from snsearch.errors import StudyError
from snsearch.lab import fidelity as fidelity_module
from snsearch.lab import ranking
from snsearch.lab.fidelity import DEFAULT, SCORINGS, Fidelity, SetFidelity, fidelity_of, notable
from snsearch.lab.pooling import design_matrix, pooled
from snsearch.lab.proxies import set_document
from snsearch.lab.ranking import Array, kendall_tau
from snsearch.lab.reference import REFERENCE, log_of, write_scores, write_set
from snsearch.lab.scores import ScoreResult
from snsearch.training.recipe import Recipe, default_recipe
from tests.lab.test_reference import made_up_set
from tests.studies import made_up_result

COUNT = 12
RANDOM = np.random.default_rng(7)
TRUTH = np.sort(RANDOM.integers(100, 300, size=COUNT)).astype(np.float64) / 1000
LONG = np.round(TRUTH + RANDOM.normal(0, 0.005, (2, COUNT)), 4)  # of two seeds
CUT = np.round(LONG + 0.3, 4)  # of the same trainings, halfway
NOISE = np.round(0.3 + RANDOM.normal(0, 0.05, (2, COUNT)), 4)
SHORT = Recipe(images=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bootstraps than users get."""
    monkeypatch.setattr(ranking, "BOOTSTRAPS", 100)


def _write(
    folder: Path,
    trained: Mapping[str, Sequence[tuple[int, Array]]],
    *,
    recipes: Mapping[str, Recipe] | None = None,
    count: int = COUNT,
    scores: Mapping[str, Array] | None = None,
    but_last: tuple[str, int] | None = None,
) -> Path:
    """A set in the folder: of every recipe (seed, (points, members) errors); one training may be missing."""
    made = made_up_set(count, dict.fromkeys(trained, SHORT) | dict(recipes or {}))
    write_set(made, folder)
    with log_of(folder) as log:
        for name, seeds in trained.items():
            for seed, errors in seeds:
                tasks = made.trainings(name, (seed,))
                for index, task in enumerate(tasks):
                    if (name, seed) == but_last and index == len(tasks) - 1:
                        continue
                    seconds = 100.0 if name == REFERENCE else 5.0
                    log.append(task.identity, made_up_result(tuple(errors[:, index]), seed=seed, cpu_seconds=seconds))
    if scores:
        rows = [
            (member.label, ScoreResult(name=name, value=float(value), cpu_seconds=0.5, seed=seed))
            for name, values in scores.items()
            for seed, row in enumerate(values)
            for member, value in zip(made.members, row, strict=True)
        ]
        write_scores(folder, rows, ("1", "2"))
    return folder


REFERENCES = [(seed, np.array([CUT[seed], LONG[seed]])) for seed in range(2)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SetFidelity:
    """A set with a proxy that is the reference's mean, one that is noise, and training-free scores."""
    mean = LONG.mean(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "BOOTSTRAPS", 100)
        return fidelity_of(
            _write(
                tmp_path_factory.mktemp("set"),
                {
                    REFERENCE: REFERENCES,
                    "same": [(100, np.array([NOISE[0], mean])), (101, np.array([NOISE[1], mean]))],
                    "noise": [(100, NOISE[:1]), (101, NOISE[1:])],
                },
                scores={"good": -np.tile(mean, (2, 1)), "bad": np.tile(mean, (2, 1)), "none": NOISE},
            )
        )


def _row(found: SetFidelity, proxy: str, images: int | None) -> Fidelity:
    [row] = [row for row in found.rows if (row.proxy, row.images) == (proxy, images)]
    return row


def test_a_proxy_equal_to_the_reference_agrees_wholly(found: SetFidelity) -> None:
    for scoring in ("error", "loss", "training loss", "loss, mean of 2 seeds"):
        row = _row(found, f"same: {scoring}", 2000)
        assert row.agreement.kendall_tau == pytest.approx(1)
        assert row.agreement.interval[1] == pytest.approx(1)
        assert row.agreement.interval[0] > 0.6
        assert row.agreement.regret_top1 == row.agreement.regret_top3 == 0


def test_a_proxy_of_noise_has_an_interval_around_zero(found: SetFidelity) -> None:
    low, high = _row(found, "noise: error", 1000).agreement.interval
    assert low < 0 < high
    early = _row(found, "same: error", 1000).agreement
    assert early == _row(found, "noise: error", 1000).agreement, "the same errors, at the same point"


def test_figures_are_those_of_the_reference(found: SetFidelity) -> None:
    assert (found.members, found.seeds) == (COUNT, 2)
    assert found.errors == pytest.approx(tuple(LONG.mean(0)))
    assert found.ceiling.one_seed == pytest.approx(kendall_tau(LONG[0], LONG[1]))
    assert found.reference_seconds == pytest.approx(100)
    assert 0.7 < found.ceiling.mean < 1


def test_costs_are_cpu_seconds_up_to_the_point_and_of_all_seeds(found: SetFidelity) -> None:
    whole, half = _row(found, "same: error", 2000), _row(found, "same: error", 1000)
    assert (whole.cost_seconds, whole.cost_ratio, whole.seeds) == pytest.approx((5.0, 0.05, 1))
    assert (half.cost_seconds, half.cost_ratio) == pytest.approx((2.5, 0.025))
    both = _row(found, "same: error, mean of 2 seeds", 2000)
    assert (both.cost_seconds, both.seeds) == pytest.approx((10.0, 2))
    assert _row(found, "reference cut short: error", 1000).cost_ratio == pytest.approx(0.5)


def test_every_scoring_is_judged_at_every_point_and_pooled_at_the_last(found: SetFidelity) -> None:
    for scoring in SCORINGS:
        for name, images in ((scoring, 1000), (scoring, 2000), (f"{scoring}, pooled", 2000)):
            assert _row(found, f"same: {name}", images).kind == "training"
    assert not [row for row in found.rows if row.proxy == "same: error, pooled" and row.images == 1000]


def test_pooled_scores_are_those_of_the_surrogate(found: SetFidelity) -> None:
    matrix = design_matrix([member.architecture for member in found.reference.members])
    taus = [kendall_tau(pooled(matrix, 10 * errors), LONG.mean(0)) for errors in NOISE]
    assert _row(found, "noise: loss, pooled", 1000).agreement.kendall_tau == pytest.approx(np.mean(taus))


def test_a_seed_of_the_reference_cut_short_is_judged_by_the_others(found: SetFidelity) -> None:
    # Halfway each seed ranks exactly as it does at its end: with itself its tau would be 1.
    row = _row(found, "reference cut short: error", 1000)
    assert row.agreement.kendall_tau == pytest.approx(kendall_tau(LONG[0], LONG[1]))
    assert row.agreement.kendall_tau < 1


def test_of_training_free_scores_more_is_better(found: SetFidelity) -> None:
    assert _row(found, "good", None).agreement.kendall_tau == pytest.approx(1)
    assert _row(found, "bad", None).agreement.kendall_tau == pytest.approx(-1)
    assert _row(found, "good", None).cost_seconds == pytest.approx(0.5)
    mixed = _row(found, "mean rank of the zero-cost scores", None)
    assert mixed.kind == "combination"
    assert mixed.cost_seconds == pytest.approx(1.5)
    # "good" and "bad" cancel, and what is left is the rank by "none".
    assert mixed.agreement.kendall_tau == pytest.approx(_row(found, "none", None).agreement.kendall_tau)


def test_records_have_the_documented_fields(found: SetFidelity) -> None:
    records = set_document(found)
    assert len(records) == len(found.rows)
    record = next(r for r in records if r["proxy"] == "same: error" and r["images"] == 2000)
    assert record["set"] == "made-up"
    assert record["data"] == "digits"
    assert record["budget_mflops"] == 40
    assert record["candidates"] == COUNT
    assert record["reference_seeds"] == 2
    assert record["noise_ceiling"] == found.ceiling.mean
    assert record["kendall_tau"] == pytest.approx(1)
    assert record["interval"] == list(_row(found, "same: error", 2000).agreement.interval)
    assert record["cost_ratio"] == pytest.approx(0.05)
    assert record["cost_seconds"] == pytest.approx(5.0)
    assert record["default"] is False
    assert all(set(other) == set(record) for other in records)


def test_a_first_look_shows_every_proxy_at_its_whole_length(found: SetFidelity) -> None:
    shown = notable(found)
    assert len(shown) == len({(row.proxy, row.images) for row in shown})
    assert {row.proxy for row in shown} == {row.proxy for row in found.rows}
    assert {row.images for row in shown if row.proxy.startswith("same")} == {2000}
    assert sum(row.kind == "reference cut short" for row in shown) <= 2


def test_the_default_is_flagged_where_the_recipe_is_the_current_one_only(tmp_path: Path) -> None:
    usual = default_recipe(made_up_set().train_images)
    trained = {REFERENCE: REFERENCES, DEFAULT: [(100, np.array([NOISE[0], LONG[0]]))]}
    [row] = [
        row for row in fidelity_of(_write(tmp_path / "a", trained, recipes={DEFAULT: usual})).rows if row.default
    ]
    assert row.proxy == f"default: {fidelity_module.DEFAULT_SCORING}"
    assert row.images == 2000
    older = fidelity_of(_write(tmp_path / "b", trained, recipes={DEFAULT: Recipe(images=7)}))
    assert any(row.proxy == "default: loss" for row in older.rows)
    assert not any(row.default for row in older.rows)


def test_a_seed_under_way_does_not_count_yet(tmp_path: Path) -> None:
    usual = default_recipe(made_up_set().train_images)
    trained = {
        REFERENCE: [*REFERENCES, (2, REFERENCES[0][1])],
        DEFAULT: [(100, NOISE[:1]), (101, NOISE[1:])],
    }
    scores = {"good": -LONG}
    without = {REFERENCE: REFERENCES, DEFAULT: [(100, NOISE[:1])]}
    wanted = fidelity_of(_write(tmp_path / "a", without, recipes={DEFAULT: usual}, scores=scores))
    halfway = _write(tmp_path / "b", trained, recipes={DEFAULT: usual}, scores=scores, but_last=(REFERENCE, 2))
    assert fidelity_of(halfway).seeds == 2
    halfway = _write(
        tmp_path / "c",
        {REFERENCE: REFERENCES, DEFAULT: trained[DEFAULT]},
        recipes={DEFAULT: usual},
        scores=scores,
        but_last=(DEFAULT, 101),
    )
    assert [(r.proxy, r.agreement) for r in fidelity_of(halfway).rows] == [
        (r.proxy, r.agreement) for r in wanted.rows
    ]


@pytest.mark.parametrize(("seeds", "but_last"), [(0, None), (1, None), (2, (REFERENCE, 1))])
def test_fewer_than_two_whole_seeds_say_so(tmp_path: Path, seeds: int, but_last: tuple[str, int] | None) -> None:
    folder = _write(tmp_path, {REFERENCE: REFERENCES[:seeds]}, but_last=but_last)
    with pytest.raises(StudyError, match=f"has {min(seeds, 1)} whole seeds of the reference; fidelity needs two"):
        fidelity_of(folder)


def test_fewer_than_six_members_say_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has 5 members; fidelity needs 6"):
        fidelity_of(_write(tmp_path, {REFERENCE: REFERENCES}, count=5))


def test_a_recipe_that_the_set_does_not_name_is_judged_all_the_same(tmp_path: Path) -> None:
    folder = _write(tmp_path, {REFERENCE: REFERENCES, DEFAULT: [(100, NOISE[:1])]})
    made = made_up_set(COUNT, {REFERENCE: SHORT})
    write_set(made, folder)
    assert any(row.proxy == "default: error" for row in fidelity_of(folder).rows)
