"""Verdicts: paired differences with honest intervals, the faster among equals, and the next command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from snsearch.study.lengths import Lengths
from snsearch.study.pairs import Noise, common_seeds, difference, error_of, noise_of
from snsearch.study.records import StudyRecord, TrialRecord
from snsearch.study.verdict import Verdict, next_command, verdict_of, why_none
from snsearch.training.recipe import ProxyResult, text_of
from tests.studies import RECIPE, Setup, candidates_at, made_up_record, made_up_result


def result(bits: np.ndarray[tuple[int], np.dtype[np.bool_]], seed: int) -> ProxyResult:
    """A full training that gets those images right."""
    error = float(1 - bits.mean())
    made_up = made_up_result((error,), seed=seed, score_on="test")
    return replace(made_up, test_images=len(bits), correct=text_of(bits))


def finals(
    error: float, seeds: Sequence[int], *, noise: float = 0.0, images: int = 4000, draw: int = 0
) -> list[ProxyResult]:
    """Full trainings of one network: hard images are hard for every network, and a seed moves the error."""
    hardness = np.random.default_rng(99).random(images)
    random = np.random.default_rng(draw)
    return [result(hardness > error + noise * random.normal(), seed) for seed in seeds]


def test_the_interval_of_a_difference_leaves_out_what_the_two_share() -> None:
    ours, theirs = finals(0.30, range(3), draw=1), finals(0.31, range(3), draw=2)
    found = difference(ours, theirs, Noise(deviation=0.0, degrees=4))
    assert found.mean == pytest.approx(-0.01, abs=0.002)
    assert found.half < 0.005, "the same images are hard for both"
    assert error_of(ours, Noise(deviation=0.0, degrees=4))[1][1] - found.mean > 0.31


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    held = []
    for draw in range(300):
        three = {
            n: finals(e, range(3), noise=0.01, images=1000, draw=1000 * n + draw)
            for n, e in enumerate((0.30, 0.32, 0.35))
        }
        found = difference(three[0], three[1], noise_of(three, 0.0))
        low, high = found.interval
        held.append(low <= -0.02 <= high)
    assert 0.9 <= np.mean(held) <= 1.0


def test_noise_is_pooled_over_networks_without_what_seeds_share() -> None:
    common = {0: 0.02, 1: -0.01, 2: 0.03}
    three = {n: [made_up_result((e + common[s],), seed=s) for s in common] for n, e in enumerate((0.3, 0.4, 0.5))}
    assert noise_of(three, 9.9).deviation == pytest.approx(0.0, abs=1e-12)
    assert noise_of(three, 9.9).degrees == 4
    assert noise_of({0: three[0]}, 9.9).deviation == 9.9
    assert common_seeds({0: three[0], 1: three[1][1:]}) == (1, 2)
    assert common_seeds({}) == ()


@pytest.fixture
def setup(tmp_path) -> Setup:  # type: ignore[no-untyped-def]
    return Setup(tmp_path)


def study(setup: Setup, *rows: tuple[float, float, bool], seeds: int = 3, command: Sequence[str] = ()) -> StudyRecord:
    """A study of finalists: the error, the cost, and whether the design is a published one."""
    solutions = list(candidates_at("40").solutions.values())
    trials: list[TrialRecord] = []
    for number, (error, cost, published) in enumerate(rows):
        made = made_up_record(number, solutions[number], error, cost=cost)
        trials.append(
            replace(made, published=published, repeats=tuple(finals(error, range(1, seeds + 1), draw=number)))
        )
    return StudyRecord(
        name="made-up",
        settings=setup.settings(),
        provenance=({"command": list(command)},) if command else (),
        trials=tuple(trials),
        attachments={},
        noise=0.005,
    )


def verdict(record: StudyRecord, margin: float = 0.5) -> Verdict:
    found = verdict_of(record, margin)
    assert found is not None
    return found


def test_the_faster_of_two_that_are_equal_within_the_margin_is_the_pick(setup: Setup) -> None:
    found = verdict(study(setup, (0.300, 20.0, True), (0.302, 10.0, False), (0.350, 5.0, False)))
    assert found.pick.trial == found.fastest_equal.trial == 1
    assert found.most_accurate.trial == 0
    assert found.decided
    assert not found.separated
    assert [one.trial for one in found.against] == [0]
    words = " ".join(found.lines())
    assert "Take #1" in words
    assert "equal within 0.5 points" in words
    assert "at 50% less cost" in words


def test_a_pick_that_is_better_than_all_is_separated(setup: Setup) -> None:
    found = verdict(study(setup, (0.40, 10.0, True), (0.30, 20.0, False)))
    assert (found.pick.trial, found.separated, found.decided) == (1, True, True)
    [against] = found.against
    assert against.difference_points == pytest.approx(-10, abs=0.5)
    assert against.interval_points[0] < against.difference_points < against.interval_points[1] < -8
    assert against.cost_ratio == 2.0
    assert "points better, at 100% more cost" in " ".join(found.lines())


def test_a_published_design_may_be_the_pick(setup: Setup) -> None:
    found = verdict(study(setup, (0.30, 10.0, True), (0.40, 20.0, False)))
    assert found.pick.trial == 0
    assert found.against[0].difference_points == 0
    assert any(line.startswith("It is the published design for g=") for line in found.lines())


def test_a_cost_that_is_the_same_but_for_rounding_is_said_to_be_the_same(setup: Setup) -> None:
    found = verdict(study(setup, (0.40, 10.0, True), (0.30, 9.99, False)))
    assert "points better, at the same cost." in " ".join(found.lines())
    assert "points better, in the same time." in " ".join(replace(found, unit="ms").lines())


def test_what_is_open_is_said_with_the_command_that_goes_on(setup: Setup) -> None:
    rows = ((0.300, 20.0, True), (0.306, 10.0, False))
    one_seed = study(setup, *rows, seeds=1, command=("snsearch", "search", "--budget", "40", "--time-limit", "5min"))
    found = verdict(one_seed)
    assert not found.decided
    assert any(line.startswith("The pick is not told apart from #1. ") for line in found.lines())
    assert "Cheaper still, but not shown to be as accurate, is #1: +0.6 ± " in " ".join(found.lines())
    assert "points at 50% less cost." in " ".join(found.lines())
    assert next_command(one_seed, found) == "snsearch search --budget 40", "it has five seeds: the time was short"


@pytest.mark.parametrize(
    ("options", "seeds", "further"),
    [
        ((), 3, ""),
        ((), 5, " --effort thorough"),
        (("--effort", "quick"), 2, " --effort standard"),
        (("--effort", "thorough"), 7, " --effort thorough"),
        (("--effort", "thorough"), 8, None),
    ],
)
def test_the_next_command_has_seeds_to_train_by(
    setup: Setup, options: tuple[str, ...], seeds: int, further: str | None
) -> None:
    rows = ((0.300, 20.0, True), (0.306, 10.0, False))
    record = study(setup, *rows, seeds=seeds, command=("snsearch", "search", *options))
    found = verdict(record)
    assert not found.decided
    assert next_command(record, found) == (None if further is None else f"snsearch search{further}")


def test_networks_are_compared_by_trainings_of_one_length(setup: Setup) -> None:
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False), seeds=2)

    def cut(trial: TrialRecord, *seeds: int) -> TrialRecord:
        repeats = [replace(one, finished=False, share=0.5) if one.seed in seeds else one for one in trial.repeats]
        return replace(trial, repeats=tuple(repeats))

    first, second = record.trials
    seeds = [one.seed for one in first.finals]
    one_longer = replace(record, trials=(cut(first, seeds[1]), cut(second, seeds[1])))
    assert (verdict(one_longer).pick.seeds, verdict(one_longer).pick.full) == (1, True)
    all_cut = replace(record, trials=(cut(first, *seeds), cut(second, *seeds)))
    assert (verdict(all_cut).pick.seeds, verdict(all_cut).pick.full) == (2, False)
    none_alike = replace(record, trials=(first, cut(second, *seeds)))
    assert verdict_of(none_alike) is None


def test_a_network_with_two_trials_is_compared_once_by_its_last(setup: Setup) -> None:
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False))
    again = replace(record.trials[1], number=7)
    found = verdict(replace(record, trials=(*record.trials, again)))
    assert (found.pick.trial, [one.trial for one in found.against], found.others) == (7, [0], ())


def test_a_decided_verdict_needs_no_command_and_an_earlier_study_has_no_verdict(setup: Setup) -> None:
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False), command=("snsearch", "search"))
    assert next_command(record, verdict(record)) is None
    assert verdict_of(replace(record, trials=tuple(replace(t, repeats=()) for t in record.trials))) is None


def lengths_of(images: int, *, epochs: int = 1, chance: float = 0.833) -> Lengths:
    """Lengths of trainings of these images in all."""
    recipe = replace(RECIPE, images=images // epochs, epochs=epochs)
    return Lengths(recipe=recipe, short=0.2, chance=chance, tried=())


def test_a_pick_that_may_be_a_guess_is_not_to_be_taken_and_sends_for_longer_trainings(setup: Setup) -> None:
    command = ("snsearch", "search", "--effort", "quick", "--full-images", "640")
    rows = ((0.90, 10.0, True), (0.825, 20.0, False))
    record = replace(study(setup, *rows, command=command), lengths=lengths_of(640))
    found = verdict(record)
    assert (found.pick.trial, found.separated, found.is_guess) == (1, False, True)
    assert found.pick.error < 0.833 < found.pick.error_interval[1]
    [line] = found.lines()
    assert line.startswith("No network to take yet: #1 ")
    assert line.endswith(", not told apart from guessing, which errs on 83.3%; train longer: --full-images 2560.")
    further = next_command(record, found)
    assert further == "snsearch search --effort quick --full-images 2560 --study made-up-2560"
    document = found.document(further)
    assert (document["chance"], document["separated"], document["decided"]) == (0.833, False, False)
    longer = replace(record, name="made-up-2560", lengths=lengths_of(2560))
    assert "--study made-up-10240" in str(next_command(longer, verdict(longer)))


def test_a_pick_that_learnt_is_taken_and_the_chance_is_said(setup: Setup) -> None:
    record = replace(study(setup, (0.40, 10.0, True), (0.30, 20.0, False)), lengths=lengths_of(640))
    found = verdict(record)
    assert (found.separated, found.is_guess) == (True, False)
    assert next(found.lines()).endswith("trained in full, 3 seeds; guessing errs on 83.3%.")


def test_trainings_that_cannot_be_longer_need_more_images(setup: Setup) -> None:
    record = study(setup, (0.90, 10.0, True), (0.85, 20.0, False), command=("snsearch", "search"))
    record = replace(record, lengths=lengths_of(6000, epochs=60))
    found = verdict(record)
    assert next(found.lines()).endswith("; trainings cannot be longer, so give more images.")
    assert next_command(record, found) is None
    assert lengths_of(6000, epochs=30).longer == 12_000


@pytest.mark.parametrize("limited", [True, False])
def test_a_study_without_a_verdict_says_why_and_what_makes_one(setup: Setup, limited: bool) -> None:
    words = ["snsearch", "search", "--budget", "40"]
    command = [*words, "--time-limit", "1.0"] if limited else words
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False), seeds=0, command=command)
    assert verdict_of(record) is None
    assert ("time limit" in why_none(record)) == limited
    assert next_command(record, None) == "snsearch search --budget 40"


def test_the_document_has_latencies_only_where_the_cost_is_one(setup: Setup) -> None:
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False))
    document = verdict(record).document("snsearch search")
    assert document["pick"]["latency_ms"] is None
    assert (document["pick"]["cost"], document["pick"]["cost_unit"]) == (20.0, "MMACs + MB moved")
    assert document["against"][0]["latency_ratio"] is None
    assert document["against"][0]["name"].startswith("the published g=")
    assert document["next"] == "snsearch search"
    timed = replace(
        record,
        settings=replace(record.settings, cost_axis="ms (a board)", cost_factor=1.25, cost_judged=(11.0, 15.0)),
    )
    [said] = [line for line in verdict(timed).lines() if "judged on" in line]
    assert said == "Outside of what its profile was judged on: the predicted latency of #1."
    document = verdict(timed).document(None)
    assert document["pick"]["latency_ms"] == 20.0
    assert document["pick"]["latency_interval_ms"] == [16.0, 25.0]
    assert document["pick"]["extrapolated"]
    assert document["against"][0]["latency_ratio"] == 2.0
    assert set(document) == {
        *("pick", "against", "others", "fastest_equal", "most_accurate", "separated", "decided", "margin_points"),
        *("chance", "not_compared", "next"),
    }


def test_one_seed_decides_nothing(setup: Setup) -> None:
    record = study(setup, (0.40, 10.0, True), (0.30, 20.0, False), seeds=1, command=("snsearch", "search"))
    found = verdict(record)
    assert (found.separated, found.decided) == (False, False)
    assert "One seed does not decide: " in " ".join(found.lines())
    assert next_command(record, found) == "snsearch search"


def test_a_search_that_was_cut_before_it_came_to_a_published_design_says_so(setup: Setup) -> None:
    command = ("snsearch", "search", "--time-limit", "1min")
    record = replace(study(setup, (0.40, 10.0, True), (0.30, 20.0, False), command=command), lacking=("2", "3"))
    found = verdict(record)
    assert found.decided
    assert found.headline == next(found.lines()) == "The search was cut short."
    assert [*found.lines()][-1] == "The published designs for g=2, g=3 are not compared."
    further = next_command(record, found)
    assert further == "snsearch search"
    assert found.document(further)["not_compared"] == ["g=2", "g=3"]


def test_the_faster_one_to_look_at_is_not_much_worse(setup: Setup) -> None:
    found = verdict(study(setup, (0.300, 20.0, True), (0.330, 5.0, False), (0.304, 10.0, False)))
    unsure = [replace(one, interval_points=(-9.0, 9.0)) for one in (*found.against, *found.others) if one.trial != 0]
    wide = replace(found, others=tuple(unsure))
    assert wide.cheaper_tied is not None
    assert wide.cheaper_tied.trial == 2
    [worse] = [one for one in unsure if one.trial == 1]
    assert replace(wide, others=(worse,)).cheaper_tied == worse, "there is no other"


def test_no_disagreement_on_few_images_is_no_certainty() -> None:
    none = Noise(deviation=0.0, degrees=4)
    right = np.arange(21) > 0
    same = difference([result(right, 0)], [result(right, 0)], none)
    assert same.mean == 0
    assert same.half == pytest.approx(same.of_images)
    assert 0.05 < same.half < 0.15
    many = finals(0.3, range(2), images=10_000)
    assert difference(many, many, none).half < 0.0003


def test_few_test_images_are_said_to_be_what_limits(setup: Setup) -> None:
    def words(images: int, margin: float) -> str:
        record = study(setup, (0.40, 10.0, True), (0.38, 20.0, False))
        trials = [
            replace(one, repeats=tuple(finals(0.4, range(1, 4), images=images, draw=one.number)))
            for one in record.trials
        ]
        found = verdict_of(replace(record, trials=tuple(trials)), margin)
        assert found is not None
        return " ".join(found.lines())

    assert "36 test images alone leave ± " in words(36, 0.5)
    assert "only more test images narrow that" in words(36, 0.5)
    assert "More seeds narrow" not in words(36, 0.5)


def test_guessing_is_that_on_the_test_images(setup: Setup) -> None:
    record = study(setup, (0.10, 10.0, True), (0.05, 20.0, False))
    kept = replace(record, lengths=replace(lengths_of(640), chance=0.0))
    assert verdict(kept).is_guess
    known = verdict(replace(record, lengths=replace(lengths_of(640), chance=0.0, test_chance=0.5)))
    assert (known.is_guess, known.chance) == (False, 0.5)
