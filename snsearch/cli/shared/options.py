"""Option types and option groups that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snsearch import units
from snsearch.errors import SpecError
from snsearch.files import bundled_names

if TYPE_CHECKING:
    from snsearch.training import Options

F = TypeVar("F", bound=Callable[..., Any])


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """An option parsed by a function that raises SpecError for what it cannot read: wrong usage."""

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


class Whole(click.IntRange):
    """A range of integers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r}: expected an integer", param, ctx)
        number: int = super().convert(value, param, ctx)
        return number


class Number(click.FloatRange):
    """A range of numbers, in which "nan" is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            if math.isnan(float(value)):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r}: expected a number", param, ctx)
        number: float = super().convert(value, param, ctx)
        return number


def _whole(within: units.Range) -> Callable[[str], int]:
    return lambda text: units.parse_whole(text, within)


def _number(within: units.Range) -> Callable[[str], float]:
    return lambda text: units.parse_number(text, within)


_GROUPS = units.GROUPS._replace(expected="group counts such as 1,2,3,4,8, or 1-3-8 for one per stage (1 to 100,000)")


def _groups(text: str) -> int | tuple[int, ...]:
    """A group count, or a tuple of one per stage: "3" or "1-3-8"."""
    each = tuple(units.parse_whole(part, _GROUPS) for part in text.split("-"))
    return each if len(each) > 1 else each[0]


def _switches(text: str) -> tuple[bool, ...]:
    """One switch per stage: "0-1-1"."""
    parts = text.split("-")
    if not set(parts) <= {"0", "1"}:
        raise SpecError(f"{text!r}: expected 0 or 1 per stage, such as 0-1-1")
    return tuple(part == "1" for part in parts)


def _budget(text: str) -> str:
    """A budget's text; a number is one of MFLOPs."""
    with suppress(ValueError):  # a name or a file
        units.MFLOPS.check(float(text), text)
    return text


def _depth(text: str) -> str:
    """The name of a depth, or units per stage."""
    if re.fullmatch(r"\d+(-\d+)+", text):
        for part in text.split("-"):
            units.parse_whole(part, units.UNITS)
    return text


def _listed(item: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(item(part) for part in text.split(","))


def _read_by(parser: str) -> Callable[[str], str]:
    """A text that a parser of `snsearch.training` takes."""

    def check(text: str) -> str:
        from snsearch import training

        getattr(training, parser)(text)
        return text

    return check


DEPTH = Quantity("depth", _depth)
BUDGET = Quantity("budget", _budget)
RESOLUTION = Quantity("pixels", units.parse_resolution)
COUNT = Quantity("count", units.parse_count)
BYTES = Quantity("size", units.parse_bytes)
LATENCY = Quantity("latency", units.parse_latency)
CONFIDENCE = Quantity("confidence", units.parse_confidence)
DURATION = Quantity("duration", units.parse_duration)
NORMALISE = "How images are normalised, where --weights do not say it  [default: by the training images]"
CLASSES = Quantity("classes", _whole(units.CLASSES))
TRAINED_IMAGES = Quantity("images", _whole(units.FULL_IMAGES))
GROUPS = Quantity("groups", _listed(_groups))
SWITCHES = Quantity("switches", _switches)
RATIOS = Quantity("ratios", _listed(_number(units.RATIOS)))
SCALES = Quantity("scales", _listed(_number(units.SCALES)))
RESOLUTIONS = Quantity("pixels", _listed(units.parse_resolution))
MFLOPS = Quantity("mflops", _listed(_number(units.MFLOPS)))
EXECUTOR = Quantity("executor", _read_by("parse_executor"))
RESOURCES = Quantity("resources", _read_by("parse_resources"))


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


def reading_options(command: F) -> F:
    """--split, --image-column, --label-column; `reading_of` takes their values."""
    for option in (
        click.option("--label-column", metavar="NAME", help="Column of the labels  [default: label, or as typed]"),
        click.option("--image-column", metavar="NAME", help="Column of the images  [default: image, or as typed]"),
        click.option(
            "--split",
            multiple=True,
            metavar="[ROLE=]NAME",
            help="Folder or split to use as train, validation or test; may be repeated  [default: by their names]",
        ),
    ):
        command = option(command)
    return command


def reading_of(given: dict[str, Any]) -> Options:
    """The values of `reading_options`, taken out of a command's. Raises DataError for a split that cannot be read."""
    from snsearch.api import data_options

    return data_options(given.pop("split"), given.pop("image_column"), given.pop("label_column"))


def complete_names(kind: Any, *extra: str) -> Callable[..., list[str]]:
    """A shell-completion function for bundled names."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in (*bundled_names(kind), *extra) if name.startswith(incomplete)]

    return complete


def complete_networks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names of known networks."""
    from snsearch.network import KNOWN

    return [name for name in KNOWN if name.startswith(incomplete)]


_NETWORKS = {
    "mflops": click.option("--mflops", type=MFLOPS, default=(), metavar="N[,N…]", help="Millions of multiply-adds."),
    "groups": click.option(
        "--groups",
        type=GROUPS,
        default=(),
        metavar="G[,G…]",
        help="Group counts; 1-3-8 is one per stage  [default: the space's]",
    ),
    "scale": click.option(
        "--scale", type=SCALES, default=(), metavar="S[,S…]", help="Widths relative to the space's 1x."
    ),
    "depth": click.option(
        "--depth",
        type=DEPTH,
        metavar="NAME|N-N-N",
        help="Units per stage: a depth of the space, or 4-8-4.",
    ),
    "se": click.option("--se", is_flag=True, help="Squeeze-and-excitation on every unit (reduction 16)."),
    "se_stages": click.option(
        "--se-stages", type=SWITCHES, metavar="0-1-1", help="Squeeze-and-excitation on the stages with a 1."
    ),
    "ratios": click.option(
        "--ratios", type=RATIOS, metavar="1,R[,R…]", help="Stage widths over the first  [default: the space's]"
    ),
    "shuffle": click.option("--no-shuffle", is_flag=True, help="Leave the channel shuffle out."),
    "params": click.option("--params", type=COUNT, help="At most this many parameters, such as 1.9M."),
    "peak_memory": click.option(
        "--peak-memory", type=BYTES, help="At most this peak activation memory, such as 320KiB."
    ),
    "model_size": click.option("--model-size", type=BYTES, help="At most this size of weights, such as 1MiB."),
    "precision": click.option(
        "--precision",
        type=click.Choice(["float32", "float16", "int8"]),
        help="Precision that memory and size are counted at  [default: float32]",
    ),
    "match": click.option(
        "--match",
        type=click.Choice(["nearest", "under"]),
        help="Meet the MFLOPs on either side, or never exceed them  [default: nearest]",
    ),
    "latency": click.option(
        "--latency", type=LATENCY, metavar="MS", help="At most this predicted latency, such as 25ms."
    ),
    "profile": click.option(
        "--profile",
        metavar="NAME|FILE",
        shell_complete=complete_names("profiles"),
        help="The device of --latency: a name of `snsearch profiles`, or a profile's file.",
    ),
    "device": click.option("--device", metavar="NAME|URL", help="The device of --latency: one of your own."),
    "confidence": click.option(
        "--confidence",
        type=CONFIDENCE,
        metavar="95%",
        help="Keep the upper end of the prediction's 95 % interval within --latency.",
    ),
    "resolution": click.option(
        "--resolution",
        type=RESOLUTION,
        metavar="PIXELS|HxW",
        help="Input size of the deployed network  [default: 224]",
    ),
    "classes": click.option("--classes", type=CLASSES, help="Classes of the deployed network  [default: 1000]"),
}


def network_options(*but: str) -> Callable[[F], F]:
    """The options that say which networks of a space are meant, except `but`; `as_asked` reads them."""

    def add(command: F) -> F:
        for name in reversed(_NETWORKS):
            if name not in but:
                command = _NETWORKS[name](command)
        return command

    return add


def as_asked(options: dict[str, Any]) -> dict[str, Any]:
    """The values of `network_options` as keyword arguments of snsearch.solve."""
    switches = options["se_stages"]
    if options["se"] and switches is not None:
        raise click.UsageError("--se is on every stage, --se-stages on some; give one of them")
    return {
        **{name: value for name, value in options.items() if name not in ("no_shuffle", "se_stages")},
        "se": options["se"] if switches is None else switches,
        "shuffle": not options["no_shuffle"],
    }


def space_option(default: str) -> Callable[[F], F]:
    """--space, of one space."""
    return click.option(
        "--space",
        default=default,
        show_default=True,
        metavar="NAME|FILE",
        shell_complete=complete_names("spaces"),
        help="The design space.",
    )
