"""Class labels from columns and tables: what is a label, what is withheld, and what is none."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from snsearch.files import read_limited
from snsearch.training.found import Unusable, named

IMAGE_NAMES = ("image", "img", "file_name", "filename", "file", "path", "filepath", "name", "id")
LABEL_NAMES = ("label", "labels", "class", "fine_label", "category", "target", "class_name")
TABLES = ("labels.csv", "metadata.csv", "labels.tsv")  # in the order they are looked for
_MAX_TABLE_BYTES = 256 * 2**20


def class_labels(values: Sequence[Any], what: str, name_of: Callable[[int], str] | None = None) -> list[str | None]:
    """Each value's class name; None for a label that is withheld: missing, empty or -1.

    `name_of` gives the names of numbered classes. Raises Unusable for lists, fractions and whatever else is no class
    label, and says what was found.
    """
    signs = name_of is None and {value for value in values if isinstance(value, int)} == {-1, 1}
    for value in values:
        if not (value is None or isinstance(value, str | int) or (isinstance(value, float) and _is_whole(value))):
            kind = {float: "fractions", list: "lists", dict: "records"}.get(type(value), type(value).__name__)
            raise Unusable(
                f"{what} holds {kind} such as {str(value)[:60]}, which are no class labels; name another by "
                "--label-column"
            )

    def one(value: Any) -> str | None:
        if isinstance(value, float):
            value = None if math.isnan(value) else int(value)
        if value is None or value == "" or (value == -1 and not signs):
            return None
        return name_of(value) if name_of is not None and isinstance(value, int) else str(value)

    return [one(value) for value in values]


def _is_whole(value: float) -> bool:
    return math.isnan(value) or value == int(value) if not math.isinf(value) else False


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelTable:
    """The rows of a CSV file beside images: image, label and, where there is such a column, split."""

    name: str
    images: tuple[str, ...]
    labels: tuple[str | None, ...]
    splits: tuple[str, ...] | None


def read_label_table(path: Path, image_column: str | None, label_column: str | None) -> LabelTable:
    """The table of a CSV or TSV file with a header; commas, semicolons or tabs part its columns.

    Raises Unusable where it cannot be read, has no such columns, or holds what is no class label.
    """
    try:
        text = read_limited(path, _MAX_TABLE_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise Unusable(f"{path.name}: cannot be read: {error}") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(row)
        ]
    except csv.Error as error:
        raise Unusable(f"{path.name}: not a table of comma-separated values: {error}") from None
    if not rows:
        raise Unusable(f"{path.name}: holds no rows")
    header = [cell.strip() for cell in rows[0]]
    image = find_column(header, image_column, IMAGE_NAMES, "image", path.name)
    label = find_column(header, label_column, LABEL_NAMES, "label", path.name)
    split = next((index for index, cell in enumerate(header) if cell.lower() in ("split", "set", "subset")), None)
    if short := next((number for number, row in enumerate(rows, 1) if len(row) <= max(image, label, split or 0)), 0):
        raise Unusable(f"{path.name}: row {short} has fewer columns than the header")
    return LabelTable(
        name=path.name,
        images=tuple(row[image].strip() for row in rows[1:]),
        labels=tuple(_of_text([row[label].strip() for row in rows[1:]], f"{path.name}: column {header[label]!r}")),
        splits=None if split is None else tuple(row[split].strip() for row in rows[1:]),
    )


def find_column(header: Sequence[str], wanted: str | None, usual: Sequence[str], kind: str, where: str) -> int:
    """The index of the wanted column, else of the first usual name. Raises Unusable, listing the columns."""
    lower = [name.lower() for name in header]
    candidates = usual if wanted is None else (wanted.lower(),)
    for name in candidates:
        if name in lower:
            return lower.index(name)
    sought = f"no {kind} column" if wanted is None else f"no column {wanted!r}"
    raise Unusable(f"{where}: {sought} among {named(header, 20)}; name it by --{kind}-column")


def _of_text(cells: Sequence[str], what: str) -> list[str | None]:
    """Labels of text cells: a column of fractions or lists is refused as one of a typed column would be."""
    given = [cell for cell in cells if cell]
    numbers = [_number(cell) for cell in given]
    if given and all(number is not None for number in numbers):
        values = dict(zip(given, numbers, strict=True))
        return class_labels([values.get(cell) for cell in cells], what)
    if given and all(cell[0] in "[({" for cell in given):
        raise Unusable(f"{what} holds lists such as {given[0][:60]}, which are no class labels")
    return class_labels(cells, what)


def _number(cell: str) -> int | float | None:
    if cell.lstrip("-").isdecimal():
        # "007" and "7" may be two classes: such a text is no number.
        return int(cell) if str(int(cell)) == cell else None
    try:
        return float(cell)
    except ValueError:
        return None


def rows_of_images(table: LabelTable, images: Sequence[PurePosixPath]) -> dict[int, int]:
    """The row of each image that the table names, by their indices.

    A row names an image by its path from the table's folder, by its file name, or by its file name without suffix;
    a name that several images have counts for none of them.
    """
    by_name: dict[str, int] = {}
    for path_name in ("path", "name", "stem"):
        seen: dict[str, int] = {}
        for index, path in enumerate(images):
            key = {"path": str(path), "name": path.name, "stem": path.stem}[path_name]
            seen[key] = -1 if key in seen else index
        by_name = {key: index for key, index in seen.items() if index >= 0} | by_name
    found: dict[int, int] = {}
    for row, name in enumerate(table.images):
        key = str(PurePosixPath(name.replace("\\", "/"))).removeprefix("./")
        at = by_name.get(key)
        if at is not None:
            if at in found and table.labels[found[at]] != table.labels[row]:
                raise Unusable(f"{table.name}: {name} has two labels")
            found.setdefault(at, row)
    return found
