"""The paper's claims: its figures, the networks that stand for its tables, and what is said of what was seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.errors import InfeasibleBudgetError, StudyError
from snsearch.lab.logs import Curve, LoggedPoint
from snsearch.lab.paper import (
    CLAIMS,
    FIGURES,
    NETWORKS,
    RECIPE_NAME,
    TABLES,
    LineUp,
    PaperSettings,
    Verdict,
    errors_of,
    judge,
    line_up,
    trained_macs,
    trainings_of,
)
from snsearch.network.graph import OpGraph
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from snsearch.training.recipe import Recipe
from snsearch.training.sources import load_data

Curves = dict[tuple[str, str, int], Curve]
CLAIM_BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def line() -> LineUp:
    return line_up(38, TABLES, tight=True)


def curve(label: str, seed: int, error: float) -> Curve:
    """A learning curve of two points, the last with that error."""
    return tuple(
        LoggedPoint(
            candidate=label,
            recipe=RECIPE_NAME,
            seed=seed,
            images_seen=images,
            test_images=1000,
            test_error=at,
            test_loss=1.0,
            train_loss=1.0,
            cpu_seconds=1.0,
            threads=1,
            device="cpu",
            snsearch="0",
            torch="2",
        )
        for images, at in ((100, 0.9), (200, error))
    )


# What seeds do to every network, and a network's own noise with each of them; both add up to zero.
SEED_EFFECTS = (0.01, -0.02, 0.01)
JITTER = ((1, -1, 0), (-1, 0, 1), (0, 1, -1))


def curves_of(line: LineUp, errors: dict[str, float], noise: float = 0.001) -> Curves:
    """Trainings with three seeds of every network of a line-up: 0.2, but for the networks named."""
    return {
        (label, RECIPE_NAME, seed): curve(
            label,
            seed,
            errors.get(line.served_by(label)[0], 0.2) + SEED_EFFECTS[seed] + noise * JITTER[index % 3][seed],
        )
        for index, label in enumerate(line.solutions)
        for seed in range(3)
    }


def verdicts_of(line: LineUp, curves: Curves, seeds: int = 3) -> dict[str, Verdict]:
    return {verdict.claim: verdict for verdict in judge([line], curves, TABLES, seeds=seeds, classes=10)}


def test_every_claim_is_a_contrast_of_known_networks_and_holds_in_the_papers_own_figures() -> None:
    for claim in CLAIMS:
        for mflops, weights in claim.at.items():
            assert sum(weights.values()) == 0
            assert set(weights) <= set(NETWORKS)
            assert claim.points(mflops) > 0, (claim.id, mflops)


@pytest.mark.parametrize(
    ("claim", "mflops", "points"),
    [
        ("groups", 38, 45.1 - (44.4 + 43.2 + 41.6 + 42.3) / 4),
        ("groups-4", 13, 57.1 - 54.2),
        ("groups-saturate", 38, 42.3 - 41.6),
        ("groups-saturate", 140, 32.8 - 32.4),
        ("shuffle-3", 140, 34.5 - 32.6),
        ("shuffle-more", 140, (37.6 - 32.4) - (34.5 - 32.6)),
        ("unit-vgg-like", 140, 50.7 - 32.4),
        ("unit-resnext", 38, 46.0 - 41.6),
        ("mobilenet", 524, 29.4 - 26.3),
        ("se", 524, 26.3 - 24.7),
        ("depth", 38, 42.8 - 41.6),
        ("structure", 38, (49.4 - 42.8) - (42.8 - 41.6)),
    ],
)
def test_the_papers_figures_are_contrasted_as_by_hand(claim: str, mflops: float, points: float) -> None:
    assert CLAIM_BY_ID[claim].points(mflops) == pytest.approx(points)


@pytest.mark.parametrize(
    ("claim", "mflops", "nearest"),
    [("groups", 40, 38), ("groups", 22.5, 38), ("groups", 22, 13), ("se", 38, 524), ("unit-vgg-like", 13, 140)],
)
def test_a_budget_takes_the_claim_at_the_papers_nearest_budget_by_ratio(
    claim: str, mflops: float, nearest: float
) -> None:
    assert CLAIM_BY_ID[claim].nearest(mflops) == nearest


def test_tables_that_share_a_network_print_the_same_figure_of_it() -> None:
    for mflops in (140, 38, 13):
        for table, name in ((3, "ShuffleNet g=3"), (3, "ShuffleNet g=8")):
            assert FIGURES[table][mflops][name] == FIGURES[2][mflops][name]
        assert FIGURES[4][mflops]["Xception-like"] == FIGURES[2][mflops]["ShuffleNet g=1"]
    assert FIGURES[5][140]["ShuffleNet g=8"] == FIGURES[4][140]["ShuffleNet g=8"] == FIGURES[2][140]["ShuffleNet g=8"]


def test_the_networks_of_38_mflops_are_matched_and_the_xception_like_one_is_shufflenet_s_with_one_group(
    line: LineUp,
) -> None:
    assert len(line.solutions) == len(NETWORKS) - 1
    assert line.served_by("38 MFLOPs ShuffleNet g=1") == ["ShuffleNet g=1", "Xception-like"]
    assert not line.missing
    for solution in line.solutions.values():
        assert abs(solution.costs.mflops / 38 - 1) < 0.0011
        assert (solution.architecture.resolution, solution.architecture.classes) == ((224, 224), 1000)
    xception = solve(load_space("xception-like"), mflops_budget(38), Design(groups=1), tight=True).architecture
    own = line.solutions["38 MFLOPs ShuffleNet g=1"].architecture
    assert OpGraph.of(xception).ops == OpGraph.of(own).ops


def test_without_tight_140_mflops_give_the_channels_of_the_papers_table_1() -> None:
    line = line_up(140, (2,), tight=False)
    assert [s.architecture.stage_channels[0] for s in line.solutions.values()] == [144, 200, 240, 272, 384]


def test_a_network_has_the_same_label_whatever_tables_are_asked_for(line: LineUp) -> None:
    fourth = line_up(38, (4,), tight=True)
    assert set(fourth.solutions) < set(line.solutions)
    assert fourth.names["Xception-like"] == "38 MFLOPs ShuffleNet g=1"
    assert "ShuffleNet g=3, SE" not in fourth.names


def test_networks_that_a_budget_leaves_out_are_named_and_none_at_all_is_an_error() -> None:
    line = line_up(1.5, TABLES, tight=True)
    assert "ShuffleNet g=8" in line.missing
    assert "needs" in line.missing["ShuffleNet g=8"]
    assert "ResNet" in line.names
    verdicts = {v.claim: v for v in judge([line], curves_of(line, {}), TABLES, seeds=3, classes=10)}
    assert verdicts["shuffle-8"].finding == "not run"
    assert verdicts["shuffle-8"].note == "the budget leaves no ShuffleNet g=8, no shuffle, no ShuffleNet g=8"
    with pytest.raises(InfeasibleBudgetError, match=r"no network of the paper's meets 0\.01 MFLOPs"):
        line_up(0.01, TABLES, tight=True)


def test_every_network_is_trained_with_every_seed_and_the_first_seeds_come_first(line: LineUp) -> None:
    recipe = Recipe(images=100)
    tasks = trainings_of([line, line_up(13, (3,), tight=True)], recipe, 2)
    assert len({task.identity for task in tasks}) == len(tasks) == 2 * (13 + 4)
    assert [task.seed for task in tasks] == [0] * 17 + [1] * 17
    assert {task.recipe for task in tasks} == {recipe}


def test_macs_as_trained_are_counted_on_the_datas_images(line: LineUp) -> None:
    digits = load_data("digits")
    counts = [trained_macs(solution.architecture, digits) for solution in line.solutions.values()]
    assert max(counts) < 38e6 / 5


def test_equal_networks_leave_every_claim_undecided(line: LineUp) -> None:
    for verdict in verdicts_of(line, curves_of(line, {})).values():
        assert verdict.finding == "undecided"
        assert verdict.points is not None
        assert verdict.points_95 is not None
        assert abs(verdict.points) < 1e-9 < verdict.points_95
        assert verdict.confidence == pytest.approx(0.5)


def test_the_sign_with_confidence_decides_the_finding(line: LineUp) -> None:
    errors = {"ShuffleNet g=1": 0.26, "ShuffleNet g=3, SE": 0.23, "ResNet": 0.25, "MobileNet": 0.15}
    verdicts = verdicts_of(line, curves_of(line, errors))
    findings = {claim: verdict.finding for claim, verdict in verdicts.items()}
    assert {claim for claim, finding in findings.items() if finding == "reproduced"} == {
        "groups", "groups-2", "groups-3", "groups-4", "groups-8", "unit-xception-like", "unit-resnet"
    }  # fmt: skip
    assert {claim for claim, finding in findings.items() if finding == "not reproduced"} == {
        "se", "mobilenet", "shallow-mobilenet", "structure"
    }  # fmt: skip
    assert verdicts["groups"].points == pytest.approx(6)
    assert verdicts["se"].points == pytest.approx(-3)
    confidence = verdicts["se"].confidence
    assert confidence is not None
    assert confidence < 0.025
    assert verdicts["unit-resnet"].networks == {"38 MFLOPs ResNet": 1, "38 MFLOPs ShuffleNet g=4": -1}


def test_a_contrasts_interval_follows_from_the_noise_of_networks_of_its_unit(line: LineUp) -> None:
    curves = curves_of(line, {})
    verdict = verdicts_of(line, curves)["shuffle-more"]
    # Nine networks of ShuffleNet's unit and three seeds leave 16 degrees; each third of them has the same jitter of
    # 0.1 points, which adds up to zero over each seed: squares of 9 * 2 * 0.01, over 16; four weights, three seeds.
    assert verdict.degrees == 16
    assert verdict.points_95 == pytest.approx(2.1199 * (0.18 / 16 * 4 / 3) ** 0.5, rel=1e-4)


def test_what_was_not_trained_yet_is_not_run_and_one_seed_has_no_interval(line: LineUp) -> None:
    one_seed = {identity: points for identity, points in curves_of(line, {}).items() if identity[2] == 0}
    del one_seed["38 MFLOPs MobileNet", RECIPE_NAME, 0]
    verdicts = verdicts_of(line, one_seed)
    assert {claim for claim, verdict in verdicts.items() if verdict.finding == "not run"} == {
        "mobilenet", "shallow-mobilenet", "structure"
    }  # fmt: skip
    assert verdicts["mobilenet"].points is None
    assert verdicts["groups"].points is not None
    assert verdicts["groups"].points_95 is None
    assert verdicts["groups"].finding == "undecided"
    assert {verdict.finding for verdict in verdicts_of(line, {}).values()} == {"not run"}


def test_seeds_beyond_those_asked_for_do_not_count(line: LineUp) -> None:
    curves = curves_of(line, {})
    more = curves | {(label, RECIPE_NAME, 3): curve(label, 3, 0.9) for label in line.solutions}
    assert verdicts_of(line, more) == verdicts_of(line, curves)
    assert set(errors_of(line, more, 4)["38 MFLOPs ResNet"]) == {0, 1, 2, 3}


def test_a_network_that_hardly_learns_is_noted(line: LineUp) -> None:
    verdicts = verdicts_of(line, curves_of(line, {"VGG-like": 0.8}))
    assert verdicts["unit-vgg-like"].finding == "reproduced"
    assert verdicts["unit-vgg-like"].note == "hardly learns: VGG-like"
    assert verdicts["unit-resnet"].note == ""


def test_networks_far_apart_in_cost_are_noted() -> None:
    line = line_up(13, TABLES, tight=False)
    verdicts = verdicts_of(line, curves_of(line, {}))
    assert verdicts["groups-8"].note == "not matched: from -17.8% to +1.2% of the budget"
    assert verdicts["groups-3"].note == ""


def test_several_budgets_are_compared_by_what_groups_gain(line: LineUp) -> None:
    small = line_up(13, TABLES, tight=True)
    curves = curves_of(line, {"ShuffleNet g=1": 0.23}) | curves_of(small, {"ShuffleNet g=1": 0.27})
    verdicts = judge([small, line], curves, (2,), seeds=3, classes=10)
    assert len(verdicts) == 2 * 6 + 1
    last = verdicts[-1]
    assert (last.claim, last.mflops, last.finding) == ("groups-smaller", (13, 38), "reproduced")
    assert last.points == pytest.approx(7 - 3)
    # 57.1 - 54.675 at 13, 45.1 - 42.875 at 38
    assert last.paper_points == pytest.approx(2.425 - 2.225)
    assert last.networks["13 MFLOPs ShuffleNet g=1"] == 1
    assert last.networks["38 MFLOPs ShuffleNet g=1"] == -1
    assert last.paper_errors["38 MFLOPs ShuffleNet g=4"] == 41.6


def test_two_budgets_near_one_of_the_papers_have_no_figure_to_be_compared_with(line: LineUp) -> None:
    near = line_up(40, (2,), tight=True)
    last = judge([line, near], {}, (2,), seeds=3, classes=10)[-1]
    assert (last.finding, last.paper_points) == ("not run", 0)
    assert "no two budgets so near" in last.note


SETTINGS = PaperSettings(
    recipe=Recipe(images=100), tight=True, data_fingerprint="abc", data_description="some", spaces={"resnet": "1"}
)


def test_a_folder_keeps_its_settings_and_takes_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "settings.json"
    SETTINGS.keep(path)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["recipe"]["images"] == 100
    replace(SETTINGS, data_description="the same, called otherwise").keep(path)
    assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(SETTINGS, recipe=Recipe(images=200)), "recipe images: 100, now 200"),
        (replace(SETTINGS, data_fingerprint="def"), "data_fingerprint: 'abc', now 'def'"),
        (replace(SETTINGS, tight=False), "tight: True, now False"),
        (replace(SETTINGS, spaces={"resnet": "2"}), "spaces resnet: '1', now '2'"),
        (replace(SETTINGS, spaces={"resnet": "1", "vgg": "3"}), "spaces vgg: None, now '3'"),
    ],
)
def test_other_settings_are_refused_with_what_differs(tmp_path: Path, other: PaperSettings, said: str) -> None:
    path = tmp_path / "settings.json"
    SETTINGS.keep(path)
    text = path.read_text(encoding="utf-8")
    with pytest.raises(StudyError, match="was begun with other settings") as caught:
        other.keep(path)
    assert f"({said})" in str(caught.value)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "are not valid JSON"),
        ("[]", r"is \[\]; expected an object"),
        ('{"schema": 2}', "schema is 2; .* reads schema 1"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=said):
        SETTINGS.keep(path)


def test_settings_name_every_space_that_a_network_comes_from() -> None:
    settings = PaperSettings.of(load_data("digits"), Recipe(), tight=True)
    assert set(settings.spaces) == {space for space, _ in NETWORKS.values()}
    assert settings.data_fingerprint == load_data("digits").fingerprint()
