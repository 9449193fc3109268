"""Augmented images, recipes and plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.finals.augmentation import augmented
from snsearch.finals.plan import FinalPlan, batch_of, class_weights, rate_of
from snsearch.finals.recipe import FinalRecipe, load_recipe

PLAIN = FinalRecipe(
    name="plain", optimizer="sgd", learning_rate=0.5, batch_size=1024, schedule="linear", epochs=2, least_area=1.0
)


def pictures(count: int = 64, channels: int = 3, side: int = 16) -> torch.Tensor:
    values = np.random.default_rng(1).integers(0, 256, (count, channels, side, side))
    return torch.from_numpy(values.astype(np.uint8))


def drawn(recipe: FinalRecipe, images: torch.Tensor, seed: int = 0, mirror: bool = False) -> torch.Tensor:
    return augmented(images, recipe, mirror=mirror, rng=np.random.default_rng(seed))


def test_a_plain_recipe_changes_nothing() -> None:
    images = pictures()
    assert torch.equal(drawn(PLAIN, images), images.float())


def test_half_of_the_images_are_mirrored() -> None:
    images = pictures()
    found = drawn(PLAIN, images, mirror=True)
    same = [torch.allclose(one, other.float(), atol=1e-2) for one, other in zip(found, images, strict=True)]
    flipped = [
        torch.allclose(one, other.float().flip(2), atol=1e-2) for one, other in zip(found, images, strict=True)
    ]
    assert all(one != other for one, other in zip(same, flipped, strict=True))
    assert 16 < sum(flipped) < 48


def test_a_crop_shows_a_part_of_the_image() -> None:
    # A gradient: its steps in a crop are smaller by the crop's width, which is at least half for a quarter's area.
    gradient = torch.arange(0, 240, 15, dtype=torch.uint8).expand(32, 1, 16, 16)
    found = drawn(replace(PLAIN, least_area=0.25), gradient)
    steps = found[:, 0, 8, 4:12].diff(dim=1).mean(1)
    assert (steps < 15.01).all()
    assert steps.min() > 15 * 0.5 * np.sqrt(3 / 4) - 0.1
    assert steps.std() > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_operations_stay_in_range_and_repeat_by_their_seed(channels: int) -> None:
    recipe = replace(PLAIN, operations=2, strength=0.8, jitter=0.4, least_area=0.3)
    images = pictures(channels=channels)
    found = drawn(recipe, images)
    assert found.min() >= 0
    assert found.max() <= 255
    assert torch.equal(found, drawn(recipe, images))
    assert not torch.equal(found, drawn(recipe, images, seed=1))
    assert torch.equal(images, pictures(channels=channels))


def test_every_bundled_recipe_is_described() -> None:
    for name in bundled_names("recipes"):
        recipe = load_recipe(name)
        assert recipe.describe().startswith(f"{name}: ")
        assert recipe.source


def test_a_recipe_of_one_s_own_is_read_or_refused_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = Path(__file__).parents[2].joinpath("snsearch/finals/recipes/paper.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("mixup = 0.0", "mixup = 0.2"))
    assert load_recipe(str(path)) == replace(load_recipe("paper"), mixup=0.2)
    path.write_text(text.replace("epochs = 240", "epochs = 0"))
    with pytest.raises(SpecError, match=r'recipe "mine.toml": \[schedule\] epochs is 0; expected an integer from 1'):
        load_recipe(str(path))


def plan(**changes: Any) -> FinalPlan:
    values: dict[str, Any] = {
        "key": "k", "recipe": PLAIN, "data": "d", "fingerprint": "f", "classes": ("a", "b"), "train_images": 1000,
        "epochs": 2, "batch_size": 100, "learning_rate": 0.5, "accumulate": 1, "processes": 1,
        "precision": "float32", "seed": 0,
    }  # fmt: skip
    return FinalPlan(**{**values, **changes})


def test_the_rate_falls_to_zero_over_all_steps() -> None:
    linear = plan()
    assert (linear.steps_per_epoch, linear.steps) == (10, 20)
    assert [linear.rate(step) for step in (0, 10, 19)] == pytest.approx([0.5, 0.25, 0.025])
    cosine = plan(recipe=replace(PLAIN, schedule="cosine", warmup=0.2))
    assert [cosine.rate(step) for step in (0, 3, 4, 12)] == pytest.approx([0.125, 0.5, 0.5, 0.25])


def test_the_batch_suits_the_data_and_the_rate_the_batch() -> None:
    assert batch_of(PLAIN, 1_281_167, None, 1) == 1024
    assert batch_of(PLAIN, 1458, None, 1) == 32  # 45 steps
    assert batch_of(PLAIN, 1458, None, 6) == 30
    assert batch_of(PLAIN, 10, None, 1) == 10
    assert rate_of(PLAIN, 256) == 0.125
    assert rate_of(replace(PLAIN, scaling="root"), 256) == 0.25


def test_rare_classes_weigh_more_and_the_mean_over_images_is_one() -> None:
    assert class_weights([100, 40], 0.5) == ()
    assert class_weights([400, 100], 0.0) == ()
    weights = class_weights([400, 100], 0.5)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert (400 * weights[0] + 100 * weights[1]) / 500 == pytest.approx(1)
