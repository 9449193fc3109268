"""Exported networks, opened again from what an export wrote: the folder, or its model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snsearch.codec import decode, parse_json
from snsearch.engine import Run
from snsearch.errors import ExportError, SpecError
from snsearch.exports.exporting import CARD
from snsearch.exports.formats import STEM, format_of
from snsearch.files import read_limited


@dataclass(frozen=True, kw_only=True, slots=True)
class _Input:
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An exported network: what it takes, and the function that it is."""

    key: str
    what: str  # in words
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    run: Run  # normalised images -> logits, in the format's own runtime


def weights_in(path: Path) -> Path | None:
    """The weights file of what `export --to torch` wrote: its module is built here, and its program is not run."""
    folder = path if path.is_dir() else path.parent
    weights = folder / f"{STEM}.safetensors"
    named = path.is_dir() or path.name == f"{STEM}.py"
    return weights if named and weights.is_file() and (folder / CARD).is_file() else None


def open_exported(path: Path) -> Exported:
    """The network of an export's folder, or of one of its model files.

    Raises SpecError where there is none, ExportError where its format's runtime is not installed.
    """
    folder = path if path.is_dir() else path.parent
    where = f"{str(folder / CARD)!r}"
    try:
        card = parse_json(read_limited(folder / CARD))
    except OSError as error:
        raise SpecError(
            f"{str(path)!r} is no network: {where} cannot be read ({error.strerror or error}); expected a weights "
            "file, or the folder or model file that snsearch export wrote"
        ) from None
    except ValueError as error:
        raise SpecError(f"{where} is not valid JSON: {error}") from None
    name = _text(card, where, "format", "name")
    classes = decode(tuple[str, ...], _entry(card, where, "output", "classes"), f"{where}, classes")
    given = _entry(card, where, "input")
    values = decode(_Input, {one: _entry(given, where, one) for one in ("mean", "std")}, where)
    form = format_of(name)
    tool = None if isinstance(form.int8, str) or path.name != form.int8.file else form.int8
    try:
        run = form.open(folder) if tool is None else tool.open(path.read_bytes())
    except ExportError:
        raise
    except Exception as error:  # runtimes raise many kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SpecError(f"{str(path)!r} cannot be opened: {reason}") from None
    return Exported(
        key=_text(card, where, "key"),
        what=f"{name}{'' if tool is None else ', int8'}: {form.what}",
        classes=classes,
        mean=values.mean,
        std=values.std,
        run=run,
    )


def _entry(card: Any, where: str, *keys: str) -> Any:
    for key in keys:
        if not isinstance(card, dict) or key not in card:
            raise SpecError(f"{where} has no {'.'.join(keys)}; expected a card of snsearch export")
        card = card[key]
    return card


def _text(card: Any, where: str, *keys: str) -> str:
    return decode(str, _entry(card, where, *keys), f"{where}, {'.'.join(keys)}")
