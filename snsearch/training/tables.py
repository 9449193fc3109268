"""Data sets with image and label columns: parquet files, save_to_disk folders, Hugging Face hub.

Only images are read from their cells; everything goes through the "datasets" package.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snsearch.errors import DataError, check_installed
from snsearch.files import MAX_FILE_BYTES, read_limited
from snsearch.training.assembly import Group, assemble
from snsearch.training.found import Found, Options, Unusable, first_line, shown
from snsearch.training.labels import IMAGE_NAMES, LABEL_NAMES, class_labels, find_column
from snsearch.training.splits import role_of

ASK_SECONDS = 5.0  # the hub is asked for a name no longer than this


def hub_library() -> Any:
    """The "datasets" package. Raises DataError where it is not installed."""
    check_installed("datasets", "hub", "reading this", DataError)
    import datasets

    datasets.disable_progress_bars()
    return datasets


def parquet_files(files: Sequence[Path], name: str, options: Options, base: Found | None = None) -> Found:
    """The data set of parquet files, split by the first word of their names, else their folder's name."""
    datasets = hub_library()
    by_split: dict[str, list[str]] = {}
    for path in files:
        words = (re.split(r"[-_.]", path.stem)[0], path.parent.name, path.stem)
        wanted = {chosen for _, chosen in options.splits}
        split = next(
            (word if word in wanted else role_of(word) for word in words if word in wanted or role_of(word)), None
        )
        by_split.setdefault(split or "train", []).append(str(path))
    base = base or Found(name=name, source=f"parquet files of {name}")
    try:
        splits = datasets.load_dataset("parquet", data_files=by_split)  # nosec B615  # local files
    except Exception as error:  # the library raises what its back ends raise
        return replace(base, refused=f"{name}: the parquet files could not be read: {first_line(error)}")
    root = Path(*Path(files[0]).resolve().parts[: len(_common_parts(files))])
    return _found(splits, base, options, inside=root)


def _common_parts(files: Sequence[Path]) -> list[str]:
    folders = [path.resolve().parent.parts for path in files]
    return [column[0] for column in zip(*folders, strict=False) if len(set(column)) == 1]


def is_saved(folder: Path) -> bool:
    """Whether the folder was written by save_to_disk of the "datasets" package."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")) and (
        (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file()
    )


def saved(folder: Path, options: Options) -> Found:
    """The data set of a save_to_disk folder."""
    name = shown(folder.name)
    base = Found(name=name, source=f"save_to_disk folder {name}")
    try:
        loaded = hub_library().load_from_disk(str(folder))
    except DataError:
        raise
    except Exception as error:  # the library raises what its back ends raise
        return replace(base, refused=f"{name}: the save_to_disk folder could not be read: {first_line(error)}")
    return _found(loaded if isinstance(loaded, dict) else {"train": loaded}, base, options, inside=folder.resolve())


def hub(argument: str, options: Options, *, otherwise: str = "") -> Found:
    """The data set of a hub name: "owner/name" or "owner/name:configuration".

    `otherwise` says what else the name could have meant. Raises DataError where the hub has none of that name, or
    does not answer in time.
    """
    datasets = hub_library()
    name, _, configuration = argument.partition(":")
    if not name:
        raise DataError("hf: expected a data set's name, such as hf:zalando-datasets/fashion_mnist")
    if not datasets.config.HF_HUB_OFFLINE and (fault := _asked(name)):
        raise DataError(f"the Hugging Face data set {argument!r} could not be loaded: {fault}{otherwise}")
    try:
        splits = datasets.load_dataset(name, configuration or None)  # nosec B615  # a study keeps a digest
    except Exception as error:  # the library raises what its back ends raise
        raise DataError(
            f"the Hugging Face data set {argument!r} could not be loaded: {first_line(error)}{otherwise}"
        ) from None
    return _found(splits, Found(name=name, source=f"Hugging Face hub, {argument}"), options, inside=None)


def _asked(name: str) -> str:
    """Why the hub has no data set of that name, or that it did not answer in time; empty where it has one."""
    import huggingface_hub

    faults: list[str] = [f"the hub did not answer within {ASK_SECONDS:.0f} s"]

    def ask() -> None:
        try:
            huggingface_hub.HfApi().dataset_info(name, timeout=ASK_SECONDS)
        except Exception as error:  # the library raises what its back ends raise
            faults.append(first_line(error))
        else:
            faults.append("")

    # The library's own limit is per attempt; a thread ends with the process, whatever it waits for.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ASK_SECONDS)
    return faults[-1]


def _found(splits: Mapping[str, Any], base: Found, options: Options, *, inside: Path | None) -> Found:
    try:
        groups = {split: _group(rows, base.name, split, options, inside) for split, rows in splits.items()}
    except Unusable as error:
        return replace(base, refused=str(error))
    return assemble(base, groups, options, kind="split")


def _group(rows: Any, name: str, split: str, options: Options, inside: Path | None) -> Group:
    datasets = hub_library()
    image = _column(rows.features, options.image_column, "Image", IMAGE_NAMES, "image", name)
    label = _column(rows.features, options.label_column, "ClassLabel", LABEL_NAMES, "label", name)
    feature = rows.features[label]
    values = list(rows[label])
    labels = class_labels(values, f"{name}: column {label!r}", getattr(feature, "int2str", None))
    try:
        # Undecoded, so that one corrupt image does not end the reading; bytes stay on disk until asked for.
        cells = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    except Exception as error:  # a column of numbers, say
        raise Unusable(f"{name}: column {image!r} holds no images: {first_line(error)}") from None
    return Group(
        origin=f"split {split}",
        names=[f"row {index}" if split == "train" else f"{split} row {index}" for index in range(len(rows))],
        labels=labels,
        read=_cell_reader(cells, image, inside),
        unlabelled="label withheld",
    )


def _column(
    features: Mapping[str, Any], wanted: str | None, kind: str, usual: Sequence[str], what: str, name: str
) -> str:
    """The wanted column, else the one called as `what`, else the first of that feature type, else of a usual name."""
    columns = list(features)
    typed = [column for column, feature in features.items() if type(feature).__name__ == kind]
    if wanted is None and typed and what not in features:
        return typed[0]
    if wanted is None and kind == "Image" and typed:
        return typed[0]
    if wanted is None and not any(one in usual for one in columns):
        raise Unusable(
            f"{name}: no image and label column among {', '.join(columns)}; name them by --image-column and "
            "--label-column"
        )
    return columns[find_column(columns, wanted, (what, *usual), what, name)]


def _cell_reader(cells: Any, column: str, inside: Path | None) -> Callable[[int], bytes]:
    """Reads a cell's bytes, or the file of its path, which must lie `inside` that folder where one is given."""

    def read(index: int) -> bytes:
        cell = cells[index][column]
        if cell is None:
            raise ValueError("no image in this row")
        if data := cell.get("bytes"):
            if len(data) > MAX_FILE_BYTES:
                raise ValueError(f"file larger than {MAX_FILE_BYTES // 2**20} MiB")
            return bytes(data)
        if not cell.get("path"):
            raise ValueError("no image in this row")
        path = Path(cell["path"])
        if inside is not None:
            path = (inside / path).resolve()
            if not path.is_relative_to(inside):
                raise ValueError("path outside the data set's folder")
        return read_limited(path)

    return read
