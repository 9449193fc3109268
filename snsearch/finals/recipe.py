"""FinalRecipe: how a network is trained in full, and the reader of recipes/*.toml. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from snsearch.codec import Field, Share, Text, decode, number
from snsearch.toml_files import find_file, read_toml


def _in(table: str, name: str) -> Field:
    return Field(key=f"{table}.{name}", toml=True)


_Rate = Annotated[float, Field(expected="a number above 0 and below 100", check=lambda value: 0 < value < 100)]
_Decay = Annotated[float, number("a number from 0 to 10", 0, 10)]
_Batch = Annotated[int, number("an integer from 1 to 65,536", 1, 65_536)]
_Epochs = Annotated[int, number("an integer from 1 to 100,000", 1, 100_000)]
_Below1 = Annotated[float, Field(expected="a number from 0 to below 1", check=lambda value: 0 <= value < 1)]
_Area = Annotated[float, Field(expected="a share above 0, at most 1", check=lambda value: 0 < value <= 1)]
_Few = Annotated[int, number("an integer from 0 to 10", 0, 10)]
_Warmth = Annotated[float, number("a number from 0.1 to 100", 0.1, 100)]


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalRecipe:
    """Everything about a full training except the network, the data, the batch at hand and the seed."""

    name: Text
    title: Text = "a recipe of one's own"
    source: str = ""
    optimizer: Annotated[Literal["sgd", "adamw"], _in("optimizer", "kind")]
    learning_rate: Annotated[_Rate, _in("optimizer", "learning_rate")]
    batch_size: Annotated[_Batch, _in("optimizer", "batch_size")]
    scaling: Annotated[Literal["linear", "root"], _in("optimizer", "scaling")] = "linear"
    momentum: Annotated[_Below1, _in("optimizer", "momentum")] = 0.9
    nesterov: Annotated[bool, _in("optimizer", "nesterov")] = False
    weight_decay: Annotated[_Decay, _in("optimizer", "weight_decay")] = 0.0
    schedule: Annotated[Literal["linear", "cosine"], _in("schedule", "kind")]
    epochs: Annotated[_Epochs, _in("schedule", "epochs")]
    warmup: Annotated[_Below1, _in("schedule", "warmup")] = 0.0
    least_area: Annotated[_Area, _in("augmentation", "least_area")] = 1.0
    jitter: Annotated[_Below1, _in("augmentation", "jitter")] = 0.0
    operations: Annotated[_Few, _in("augmentation", "operations")] = 0
    strength: Annotated[Share, _in("augmentation", "strength")] = 0.0
    mixup: Annotated[_Decay, _in("augmentation", "mixup")] = 0.0
    label_smoothing: Annotated[_Below1, _in("loss", "label_smoothing")] = 0.0
    balance: Annotated[Share, _in("loss", "balance")] = 0.0
    teacher_weight: Annotated[Share, _in("loss", "teacher_weight")] = 0.5
    temperature: Annotated[_Warmth, _in("loss", "temperature")] = 2.0
    average: Annotated[_Below1, _in("weights", "average")] = 0.0

    def describe(self) -> str:
        """The recipe in a line, without what the batch and the length at hand decide."""
        rises = f" after a warm-up of {self.warmup:.0%}" if self.warmup else ""
        parts = [f"{self.optimizer.upper() if self.optimizer == 'sgd' else 'AdamW'}, {self.schedule} decay{rises}"]
        parts.append(f"weight decay {self.weight_decay:g}")
        if self.least_area < 1:
            parts.append(f"crops of at least {self.least_area:.0%}")
        if self.jitter:
            parts.append(f"color jitter {self.jitter:g}")
        if self.operations and self.strength:
            parts.append(
                f"{self.operations} random operation{'s' if self.operations > 1 else ''} ({self.strength:g})"
            )
        if self.mixup:
            parts.append(f"mixup {self.mixup:g}")
        if self.label_smoothing:
            parts.append(f"label smoothing {self.label_smoothing:g}")
        if self.average:
            parts.append(f"weights averaged over {self.average:.1%} of the steps")
        return f"{self.name}: {', '.join(parts)}"


def load_recipe(text: str) -> FinalRecipe:
    """The recipe of a bundled name or a TOML file. Raises SpecError with the file, the key and what was expected."""
    return decode(FinalRecipe, *read_toml(find_file(text, "recipes"), "recipe"), toml=True)
