"""The matched-FLOPs benchmark's files, order and figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmarks.matched import emoji, graphs, members, scenes, train, trainer
from benchmarks.matched.package import Architecture
from snsearch.lab.bench import files


def member(label: str, *, published: bool = False) -> files.Member:
    return files.Member(label=label, space="shufflenet-v1", published=published, key=label, macs=1, params=1)


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


def test_snsearch_trains_as_it_did_when_the_recipe_was_frozen() -> None:
    _, expected = files.read_frozen(files.RESULTS / "recipe.json")
    assert trainer.check_loss() == pytest.approx(expected, abs=1e-3)


def test_the_steps_of_a_graph_are_those_of_any_training() -> None:
    def trained(kind: type[trainer.BenchmarkTraining]) -> trainer.BenchmarkTraining:
        training = kind(*trainer.checked(epochs=2, curve_points=2), seed=3, device=torch.device("cpu"))
        for _ in training.advancing():
            pass
        return training

    usual, by_graphs = trained(trainer.BenchmarkTraining), trained(graphs.GraphTraining)
    assert np.array_equal(usual.correct(), by_graphs.correct())
    points = zip(usual.result().curve, by_graphs.result().curve, strict=True)
    for one, other in points:
        assert (one.images_seen, one.test_error) == (other.images_seen, other.test_error)
        assert (one.train_loss, one.test_loss) == pytest.approx((other.train_loss, other.test_loss), rel=1e-4)


def test_trainings_take_turns() -> None:
    said: list[str] = []

    def training(name: str, parts: int) -> Iterator[None]:
        for part in range(parts):
            said.append(f"{name}{part}")
            yield

    train.in_turns((training("a", 3), training("b", 1), training("c", 2)), at_once=2)
    assert said == ["a0", "b0", "a1", "a2", "c0", "c1"]
