"""Option types and option groups that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.network import Precision
from snsearch.solver import Budget, Match, load_budget, mflops_budget, with_input
from snsearch.units import parse_bytes, parse_count, parse_duration, parse_resolution

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """An option parsed by a function that raises SpecError for what it cannot read."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except SpecError as error:
            self.fail(str(error), param, ctx)


def _listed(item: Callable[[str], T], expected: str) -> Callable[[str], tuple[T, ...]]:
    def parse(text: str) -> tuple[T, ...]:
        try:
            return tuple(item(part.strip()) for part in text.split(","))
        except ValueError:
            raise SpecError(f"{text!r}: expected {expected}") from None

    return parse


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise ValueError
    return value


def _classes(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= 1_000_000:
        raise SpecError(f"{text!r}: expected a number of classes from 1 to 1,000,000")
    return value


def _scale(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 100:
        raise ValueError
    return value


RESOLUTION = Quantity("pixels", parse_resolution)
COUNT = Quantity("count", parse_count)
BYTES = Quantity("size", parse_bytes)
DURATION = Quantity("duration", parse_duration)
CLASSES = Quantity("classes", _classes)
GROUPS = Quantity("groups", _listed(_positive, "group counts such as 1,2,3,4,8"))
SCALES = Quantity("scales", _listed(_scale, "scales from 0.01 to 100, such as 0.5,1,2"))
RESOLUTIONS = Quantity("pixels", lambda text: tuple(parse_resolution(part) for part in text.split(",")))
MFLOPS = Quantity("mflops", _listed(float, "MFLOPs such as 140 or 13,38,140"))


def plain_number(value: float) -> float | int:
    """The number as JSON should carry it: 2 for 2.0."""
    return int(value) if value == int(value) else value


def table_options(*forms: str) -> Callable[[F], F]:
    """--format with these forms beside the table, and --wide."""

    def add(command: F) -> F:
        choice = click.Choice(["table", *forms])
        command = click.option("--wide", is_flag=True, help="Show all columns.")(command)
        return click.option("--format", "form", type=choice, default="table", show_default=True)(command)

    return add


def study_options(command: F) -> F:
    """--storage and --out: where studies are."""
    for option in (
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("reports"),
            show_default=True,
            help="Folder of the studies' folders.",
        ),
        click.option("--storage", metavar="URL", help="Optuna storage  [default: SQLite in the study's folder]"),
    ):
        command = option(command)
    return command


def complete_names(kind: Any, *extra: str) -> Callable[..., list[str]]:
    """A shell-completion function for bundled names."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in (*bundled_names(kind), *extra) if name.startswith(incomplete)]

    return complete


def design_options(command: F) -> F:
    """--depth, --se, --no-shuffle."""
    for option in (
        click.option("--no-shuffle", is_flag=True, help="Leave the channel shuffle out."),
        click.option("--se", is_flag=True, help="Squeeze-and-excitation on every unit (reduction 16)."),
        click.option("--depth", metavar="NAME|N-N-N", help="Units a stage: a depth of the space, or 4-8-4."),
    ):
        command = option(command)
    return command


def bound_options(command: F) -> F:
    """--params, --peak-memory, --model-size, --precision, --match, --resolution, --classes."""
    for option in (
        click.option("--classes", type=CLASSES, help="Classes of the deployed network  [default: 1000]"),
        click.option(
            "--resolution",
            type=RESOLUTION,
            metavar="PIXELS|HxW",
            help="Input size of the deployed network  [default: 224]",
        ),
        click.option(
            "--match",
            type=click.Choice(["nearest", "under"]),
            help="Meet the MFLOPs on either side, or never exceed them  [default: nearest]",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float32", "float16", "int8"]),
            help="Precision that memory and size are counted at  [default: float32]",
        ),
        click.option("--model-size", type=BYTES, help="At most this size of weights, such as 1MiB."),
        click.option("--peak-memory", type=BYTES, help="At most this peak activation memory, such as 320KiB."),
        click.option("--params", type=COUNT, help="At most this many parameters, such as 1.9M."),
    ):
        command = option(command)
    return command


def gather_budgets(
    mflops: tuple[float, ...],
    names: tuple[str, ...],
    *,
    params: int | None,
    peak_memory: int | None,
    model_size: int | None,
    precision: Precision | None,
    match: Match | None,
    resolution: tuple[int, int] | None,
    classes: int | None,
) -> list[Budget]:
    """The budgets that the options name, each with the further bounds. Raises SpecError."""
    budgets = [mflops_budget(value) for value in mflops] + [load_budget(name) for name in names]
    extra: dict[str, Any] = {
        "params": params,
        "peak_activation_bytes": peak_memory,
        "weight_bytes": model_size,
        "precision": precision,
        "match": match,
    }
    given = {key: value for key, value in extra.items() if value is not None}
    if not budgets and any(value is not None for value in (params, peak_memory, model_size)):
        budgets = [Budget(name="command line", **given)]
    return [with_input(replace(budget, **given), resolution=resolution, classes=classes) for budget in budgets]


def free_budget(bounds: dict[str, Any]) -> Budget:
    """The input that networks without a budget are counted at; its MFLOPs are never read."""
    [free] = gather_budgets((1.0,), (), **bounds)
    return free
