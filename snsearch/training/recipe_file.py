"""A recipe file of a search: what a user changes of how candidates are trained. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from snsearch.codec import Field, decode
from snsearch.errors import SpecError
from snsearch.files import bundled_names, names_a_file
from snsearch.prose import shortened
from snsearch.toml_files import read_toml
from snsearch.training.found import Augmentation
from snsearch.training.recipe import Recipe, Schedule

_RATE = Field(expected="a number above 0 and below 10", check=lambda value: 0 < value < 10)
_DECAY = Field(expected="a number from 0 to 10", check=lambda value: 0 <= value <= 10)
_BATCH = Field(expected="an integer from 2 to 65,536", check=lambda value: 2 <= value <= 65_536)
_BELOW_1 = Field(expected="a number from 0 to below 1", check=lambda value: 0 <= value < 1)


def _in(table: str, name: str) -> Field:
    return Field(key=f"{table}.{name}", toml=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeChanges:
    """What a file changes of a study's recipe; None leaves it as it is. How long to train is no part of it."""

    learning_rate: Annotated[float | None, _RATE, _in("optimizer", "learning_rate")] = None
    batch_size: Annotated[int | None, _BATCH, _in("optimizer", "batch_size")] = None
    weight_decay: Annotated[float | None, _DECAY, _in("optimizer", "weight_decay")] = None
    schedule: Annotated[Schedule | None, _in("schedule", "kind")] = None
    warmup: Annotated[float | None, _BELOW_1, _in("schedule", "warmup")] = None
    augmentation: Annotated[Augmentation | None, _in("augmentation", "kind")] = None
    average: Annotated[float | None, _BELOW_1, _in("weights", "average")] = None  # share of the steps; 0: none
    zero_start: Annotated[bool | None, _in("weights", "zero_start")] = None

    def of(self, recipe: Recipe) -> Recipe:
        """The recipe with these changes."""
        given = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}
        if (average := given.pop("average", None)) is not None:
            given["averaging"] = 1 / average - 1 if average else 0.0
        return replace(recipe, **given)


def load_changes(path: str) -> RecipeChanges:
    """The changes of a TOML file. Raises SpecError with the file, the key and what was expected."""
    if not names_a_file(path):
        if path in bundled_names("recipes"):
            raise SpecError(f"{path} is a recipe of snsearch train; a search takes a TOML file")
        raise SpecError(f"recipe file {shortened(path)} does not exist; a search takes a TOML file")
    return decode(RecipeChanges, *read_toml(Path(path), "recipe"), toml=True)
