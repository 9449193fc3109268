"""The matched-FLOPs benchmark's files, order and figures."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.matched import emoji, members, reliability, replay, scenes, tables, train, trainer
from benchmarks.matched.package import Architecture, TrainingLog


def member(label: str, *, published: bool = False) -> tables.Member:
    return tables.Member(label=label, space="shufflenet-v1", published=published, key=label, macs=1, params=1)


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
    assert low < 0.98 < high or low < found.reliability < high


def test_a_single_seed_has_no_noise_to_estimate() -> None:
    with pytest.raises(ValueError, match="two members and two seeds"):
        reliability.components(np.array([[1.0], [2.0]]))


def test_common_takes_the_seeds_that_most_members_share() -> None:
    final = {("a", 0): 1.0, ("a", 1): 2.0, ("a", 2): 3.0, ("b", 0): 4.0, ("b", 1): 5.0, ("c", 0): 6.0, ("c", 1): 7.0}
    errors, seeds = reliability.common(final)
    assert seeds == (0, 1)
    assert errors.tolist() == [[1.0, 2.0], [4.0, 5.0], [6.0, 7.0]]
    errors, seeds = reliability.common(final | {("b", 2): 5.5})
    assert seeds == (0, 1)  # 2 degrees of freedom either way
    errors, seeds = reliability.common(final | {("b", 2): 5.5, ("c", 2): 7.5, ("a", 3): 1.0})
    assert seeds == (0, 1, 2)


def test_common_of_one_seed_is_empty() -> None:
    assert reliability.common({("a", 0): 1.0})[0].shape == (0, 2)


def test_right_answers_survive_packing(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).random(4001) < 0.7
    path = tmp_path / "correct.csv"
    tables.append_correct(path, ("v1 a", "d1", 0), bits)
    tables.append_correct(path, ("v1 a", "d1", 1), ~bits)
    found = tables.read_correct(path)
    assert np.array_equal(found["v1 a", "d1", 0], bits)
    assert np.array_equal(found["v1 a", "d1", 1], ~bits)
    with path.open(newline="") as file:  # a plain CSV for other tools
        assert [len(row) for row in csv.reader(file)] == [5, 5]


def test_right_answers_that_a_killed_run_left_torn_are_written_over(tmp_path: Path) -> None:
    bits = np.array([True, False, True])
    path = tmp_path / "correct.csv"
    tables.append_correct(path, ("a", "d", 0), bits)
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert set(tables.read_correct(path)) == {("a", "d", 0)}
        tables.append_correct(path, ("b", "d", 0), ~bits)
        found = tables.read_correct(path)
        assert set(found) == {("a", "d", 0), ("b", "d", 0)}
        assert np.array_equal(found["b", "d", 0], ~bits)


def test_members_survive_their_file(tmp_path: Path) -> None:
    own = (member("v1 g1 0.5x paper", published=True), member("v1 g3 1x deep se"))
    tables.write_members(tmp_path / "set" / "members.csv", own)
    assert tables.read_members(tmp_path / "set" / "members.csv") == own


def test_a_recipe_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    one = tables.FrozenSet(
        name="scenes", held_out=True, budget_mflops=10.0, fingerprint="ab", recipe={"images": 100, "epochs": 3}
    )
    tables.write_frozen(path, [one], 1.25)
    assert tables.read_frozen(path) == ({"scenes": one}, 1.25)
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(ValueError, match="changed after it was frozen"):
        tables.read_frozen(path)


def test_recipes_outlive_a_field_that_was_off() -> None:
    assert trainer.recipe_of({"images": 7, "gone": 0.0}).images == 7
    with pytest.raises(ValueError, match="no gone in its recipes"):
        trainer.recipe_of({"images": 7, "gone": 0.5})


def test_the_first_seed_of_all_sets_comes_first() -> None:
    order = train.in_order({"x": (member("a"), member("b")), "y": (member("c"),)}, range(2))
    assert [(task.seed, task.set_name, task.member.label) for task in order] == [
        (0, "x", "a"),
        (0, "x", "b"),
        (0, "y", "c"),
        (1, "x", "a"),
        (1, "x", "b"),
        (1, "y", "c"),
    ]


def test_the_published_and_the_best_are_judged() -> None:
    own = [member(f"m{number}", published=number == 30) for number in range(40)]
    errors = {f"m{number}": float(number) for number in range(1, 40)}  # m0 is not trained yet
    labels = [one.label for one in train.to_judge(own, errors)]
    assert labels == [*(f"m{number}" for number in range(1, 17)), "m30"]


def test_members_meet_the_budget_and_hold_every_published_design() -> None:
    own = members.chosen(10.0, 3, 24)
    published = [one for one in own if one.published]
    assert len(own) >= 32
    assert len({one.key for one in own}) == len({one.label for one in own}) == len(own)
    assert sorted(Architecture.from_key(one.key).groups[0] for one in published) == [1, 2, 3, 4, 8]
    assert all(abs(one.macs / 10e6 - 1) < 0.02 for one in own)


def test_scenes_differ_and_come_again_with_their_seed() -> None:
    first, again, other = (scenes.scene("star", "dots", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (scenes.SIDE, scenes.SIDE, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_forms_cover_what_their_names_say() -> None:
    x, y = np.array([[0.0, 0.7, 0.9]]), np.array([[0.0, 0.0, 0.9]])
    assert scenes.inside("disc", x, y).tolist() == [[True, True, False]]
    assert scenes.inside("ring", x, y).tolist() == [[False, True, False]]
    assert scenes.inside("square", x, y).tolist() == [[True, True, False]]


def test_only_emoji_that_every_vendor_drew_can_be_classes() -> None:
    def record(image: str, *, drawn: bool = True) -> dict[str, object]:
        own: dict[str, object] = {f"has_img_{vendor}": True for vendor in (*emoji.TRAIN_VENDORS, emoji.TEST_VENDOR)}
        return own | {"image": image, "category": "Flags", f"has_img_{emoji.TEST_VENDOR}": drawn}

    found = emoji.common([record("b.png"), record("a.png"), record("c.png", drawn=False)])
    assert [(one.image, one.label) for one in found] == [("a.png", "a"), ("b.png", "b")]


def test_disagreement_is_the_distance_over_that_to_the_nearest_other() -> None:
    first, second = np.array([[0.0], [10.0], [40.0]]), np.array([[1.0], [14.0], [40.0]])
    # Squares: 0 is 1 from its own and 14^2 from the next, seen from the other side 1 and 9^2; 10 is 4^2 from its own.
    expected = [1 / 81, max(16 / 81, 16 / 196), 0.0]
    assert emoji.disagreement([first, second]) == pytest.approx(expected)


def test_of_each_group_the_emoji_are_chosen_on_which_vendors_agree() -> None:
    own = [emoji.Emoji(image=f"{name}.png", group=name[0]) for name in ("x1", "x2", "x3", "y1", "y2")]
    chosen = emoji.choose(own, np.array([0.9, 0.1, 0.5, 2.0, 3.0]), 2)
    assert [one.label for one in chosen] == ["x2", "x3", "y1", "y2"]


def test_the_committed_results_fit_their_recipe_and_members() -> None:
    frozen, _ = tables.read_frozen(tables.RESULTS / "recipe.json")
    assert sum(one.held_out for one in frozen.values()) == 1
    for name, one in frozen.items():
        labels = {own.label for own in tables.read_members(tables.RESULTS / name / "members.csv")}
        path = tables.RESULTS / name / "trainings.csv"
        curves = TrainingLog(path).read()
        right = tables.read_correct(tables.RESULTS / name / "correct.csv") if path.exists() else {}
        for identity, curve in curves.items():
            assert identity[0] in labels
            assert identity[1] == one.digest
            assert len(curve) >= 8
            assert 1 - right[identity].mean() == pytest.approx(curve[-1].test_error, abs=2e-6)


def test_snsearch_trains_as_it_did_when_the_recipe_was_frozen() -> None:
    _, expected = tables.read_frozen(tables.RESULTS / "recipe.json")
    assert trainer.check_loss() == pytest.approx(expected, abs=1e-3)


def made_up_table(noise: float) -> replay.Table:
    """A table of networks whose errors fall with the width; short training has them all nearer to chance."""
    archs = tuple(
        Architecture.from_key(f"shufflenet.g{g}.b4.shuffle_stem12s2p_{w}x4s2-{2 * w}x8s2-{4 * w}x4s2_1x96x96_c10")
        for g in (1, 2, 4)
        for w in range(64, 160, 16)
    )
    random = np.random.default_rng(0)
    truth = np.array([0.5 - arch.stage_channels[-1] / 2000 for arch in archs])
    final = truth + noise * random.normal(size=(2, len(archs)))
    points = np.arange(1, 13) / 12
    errors = final[:, :, None] + (1 - points) * (0.9 - final[:, :, None])
    return replay.Table(
        name="made-up", held_out=False, archs=archs, published=(0, 6, 12), errors=errors, costs=(1.0,) * len(archs)
    )


def test_a_replayed_search_finds_the_best_by_a_fraction_of_all_trainings() -> None:
    found = {one.method: one for one in replay.replay(made_up_table(noise=0.002), replays=4)}
    search = found["search"]
    assert search.members == 18
    assert search.median_regret <= found["10 random full trainings"].mean_regret + 0.3
    assert search.tau is not None
    assert search.tau_interval is not None
    assert search.tau_interval[0] <= search.tau <= search.tau_interval[1] + 0.1
    assert search.tau > 0.6
    assert found["10 random full trainings"].tau is None
    assert set(search.no_worse) == set(found) - {"search"}
