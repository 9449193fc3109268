"""Recipe files of a search: what they change, what they leave, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from snsearch.codec import decode, encode
from snsearch.errors import SpecError
from snsearch.training.recipe import Recipe
from snsearch.training.recipe_file import RecipeChanges, load_changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "own.toml"


def test_a_file_changes_what_it_names_and_nothing_else(file: Path) -> None:
    file.write_text("schema = 1\n[optimizer]\nlearning_rate = 0.02\n[weights]\naverage = 0.5\nzero_start = false\n")
    changed = load_changes(str(file)).of(Recipe())
    assert changed == Recipe(learning_rate=0.02, averaging=1.0, zero_start=False)


def test_every_key_reaches_the_recipe(file: Path) -> None:
    file.write_text(
        "schema = 1\n"
        "[optimizer]\nlearning_rate = 0.02\nbatch_size = 32\nweight_decay = 0\n"
        '[schedule]\nkind = "constant"\nwarmup = 0\n'
        '[augmentation]\nkind = "flip"\n'
        "[weights]\naverage = 0\nzero_start = false\n"
    )
    assert load_changes(str(file)).of(Recipe(schedule="cosine")) == Recipe(
        learning_rate=0.02,
        batch_size=32,
        weight_decay=0.0,
        schedule="constant",
        warmup=0.0,
        augmentation="flip",
        averaging=0.0,
        zero_start=False,
    )


def test_changes_are_read_as_they_were_kept() -> None:
    changes = RecipeChanges(learning_rate=0.02, augmentation="none")
    assert decode(RecipeChanges, encode(changes), "a study") == changes


@pytest.mark.parametrize(
    "text",
    [
        "[optimizer]\nlearning_rat = 0.1",
        "[optimizer]\nlearning_rate = -1",
        "[optimizer]\nlearning_rate = nan",
        "[optimizer]\nbatch_size = 1",
        "[schedule]\nepochs = 3",
        "[schedule]\nwarmup = 1",
        '[augmentation]\nkind = "mix"',
        "[weights]\naverage = 1",
        "optimizer = 3",
    ],
)
def test_what_cannot_work_is_refused_with_the_file_and_the_key(file: Path, text: str) -> None:
    file.write_text(f"schema = 1\n{text}\n")
    with pytest.raises(SpecError, match=r'recipe "own\.toml": ') as refused:
        load_changes(str(file))
    assert text.splitlines()[-1].split(" =")[0] in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [("modern", "modern is a recipe of snsearch train; a search takes a TOML file"), ("rd", "'rd' does not exist")],
)
def test_a_search_takes_a_file_not_a_name(given: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_changes(given)
