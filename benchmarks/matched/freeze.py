"""Adds sets to recipe.json and writes their members.csv: how a set is trained, on what, and whom. Once a set.

    python -m benchmarks.matched.freeze DATA SET...

The recipes come from a pilot of six networks a set; README.md tells what it gave.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.matched import members, trainer
from benchmarks.matched.package import Recipe, load_data
from snsearch.lab.bench import files

MFLOPS = 10.0
HELD_OUT = "scenes"
EPOCHS = 3
POINTS = 12  # of a curve


def recipe(train_images: int, *, flip: bool) -> Recipe:
    """The recipe for a set of that size."""
    return Recipe(
        images=train_images,
        epochs=EPOCHS,
        batch_size=64,
        learning_rate=1e-2,
        schedule="cosine",
        averaging=9.0,  # over the last tenth of the steps so far: a point on the way says more, the end loses nothing
        recalibration=512,
        augmentation="crop+flip" if flip else "crop",
        test_images=100_000,  # all
        curve_points=POINTS // EPOCHS,
    )


def main(arguments: argparse.Namespace) -> None:
    """Freezes sets. Refuses one that is frozen: finished trainings hang on it."""
    path = files.RESULTS / "recipe.json"
    frozen = list(files.read_frozen(path)[0].values()) if path.exists() else []
    for name in arguments.sets:
        if any(one.name == name for one in frozen):
            raise SystemExit(f"{name} is frozen already")
        dataset = load_data(str(arguments.data / name))
        values = asdict(recipe(len(dataset.train), flip=dataset.channels == 3))
        frozen.append(
            files.FrozenSet(
                name=name,
                held_out=name == HELD_OUT,
                budget_mflops=MFLOPS,
                fingerprint=dataset.fingerprint(),
                recipe=values,
            )
        )
        own = [
            *members.chosen(MFLOPS, dataset.channels, len(dataset.classes)),
            *members.drawn(MFLOPS, dataset.channels, len(dataset.classes)),
        ]
        files.write_members(files.RESULTS / name / "members.csv", own)
    files.write_frozen(path, frozen, trainer.check_loss())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="+", metavar="SET")
    main(parser.parse_args())
