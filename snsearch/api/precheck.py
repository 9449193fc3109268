"""What search says before it trains: how budget and data differ, and what memory and time it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from snsearch.errors import SpecError
from snsearch.units import format_duration

if TYPE_CHECKING:
    from snsearch.solver import Budget
    from snsearch.study import Observer, Plan
    from snsearch.training import Dataset


def mismatches(budget: Budget, dataset: Dataset) -> Iterator[str]:
    """How the deployed input and output differ from the data, a sentence each."""
    for what, deployed, found in (
        ("input channels", budget.input_channels, dataset.channels),
        ("classes", budget.classes, len(dataset.classes)),
    ):
        if deployed != found:
            yield (
                f"{what}: the budget has {deployed:,}, the data has {found:,}; networks are trained "
                "with the data's and counted with the budget's"
            )


def say_what_to_expect(plan: Plan, observer: Observer, *, go_ahead: bool) -> None:
    """Says the expected memory and time; beyond this machine's free memory it asks, or needs `go_ahead`.

    Raises SpecError if the answer is no.
    """
    from snsearch.training import available_memory, expect

    candidates, dataset, recipe = plan.candidates, plan.dataset, plan.settings.recipe
    trainings = round(plan.effort.at_most)
    whole = recipe.images * recipe.epochs
    scored = (
        recipe.test_images * recipe.curve_points * recipe.epochs // 6
    )  # forward only, and on the way half of them
    data_bytes = sum(split.pixels.nbytes for split in (dataset.train, dataset.scored, dataset.test))
    expected = expect(
        [dataset.network(candidates.solutions[design].architecture) for design in candidates.first.values()],
        batch_size=recipe.batch_size,
        images_per_training=whole + scored,
        trainings=trainings,
        workers=plan.workers,
        data_bytes=data_bytes,
    )
    here = plan.executor is None
    on_cpu = plan.device == "cpu"
    length = format_duration(expected.seconds) if expected.seconds >= 60 else "less than a minute"
    time = f" and {length} of training on idle cores" if on_cpu else ""
    gib = (expected.memory if here else (expected.memory - data_bytes) / plan.workers + data_bytes) / 2**30
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
    observer.said(
        f"expected for the work of up to {trainings} full trainings of {whole:,} images, {workers}: about "
        f"{gib:,.1f} GiB of memory{'' if here else ' each'}{time} (estimates)"
    )
    if not (on_cpu and here) or go_ahead or expected.memory <= (free := available_memory()):
        return
    words = (
        f"this search is expected to need {gib:,.1f} GiB of memory; {free / 2**30:.1f} GiB are free. Give fewer "
        "--workers, a smaller --proxy-resolution or a smaller --budget (MFLOPs: 1000 are a GFLOP)"
    )
    if not observer.confirm(words):
        raise SpecError(f"{words}, or start it anyway with --yes")
