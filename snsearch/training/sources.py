"""Where data sets come from: what a `--data` text means, its description, and its images in memory.

A source is a function from its argument and the options to a Found; SOURCES lists them. A description is made without
torch, by the same steps as a data set in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.codec import near
from snsearch.errors import DataError
from snsearch.files import faults_as
from snsearch.training.builtin import HUB_FASHION, digits, fashion_mnist, idx_folder, is_idx_folder
from snsearch.training.description import Description
from snsearch.training.folder import image_folder
from snsearch.training.found import Found, Options, Progress, Unusable, shown
from snsearch.training.memory import room_for
from snsearch.training.shards import shard_files
from snsearch.training.survey import checked, survey
from snsearch.training.tables import hub, is_saved, parquet_files, saved
from snsearch.training.tree import scan

if TYPE_CHECKING:
    from snsearch.training.data import Dataset

EXPECTED = "fashion-mnist, digits, an image folder, a .parquet file, or a Hugging Face name such as owner/name"


def _fashion(argument: str, options: Options) -> Found:
    found = fashion_mnist(argument)
    if found is not None:
        return found
    try:
        return replace(hub(HUB_FASHION, options), name="fashion-mnist", side=32, scored_on_test=True)
    except DataError as error:
        raise DataError(
            "Fashion-MNIST was not found: install Debian's package dataset-fashion-mnist, put its four files into "
            f"$SNSEARCH_DATA/fashion-mnist, or let snsearch reach the Hugging Face hub ({error})"
        ) from None


def _folder(argument: str, options: Options) -> Found:
    root = Path(argument).expanduser()
    if is_idx_folder(root):
        return idx_folder(root, shown(root.name))
    if is_saved(root):
        return saved(root, options)
    tree = scan(root)
    # One folder of images beside parquet files is a preview, not a class; a stray parquet file is no data set.
    if tree.parquet and len({path.parts[:-1] for path in tree.images}) < 2 and not tree.tables:
        found = parquet_files([root / path for path in tree.parquet], shown(root.name), options)
        return replace(found, skipped=(*found.skipped, *tree.skipped))
    if tree.shards and not tree.images and not tree.tables:
        found = shard_files([root / path for path in tree.shards], shown(root.name), options)
        return replace(found, skipped=(*found.skipped, *tree.skipped))
    return image_folder(tree, options)


def _parquet(argument: str, options: Options) -> Found:
    path = Path(argument).expanduser()
    return parquet_files([path], shown(path.stem), options)


SOURCES: dict[str, Callable[[str, Options], Found]] = {
    "fashion-mnist": _fashion,
    "digits": lambda argument, options: digits(),
    "hf": lambda argument, options: hub(argument.removeprefix("//"), options),
    "folder": _folder,
    "parquet": _parquet,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What a `--data` text means: a source, its argument, and, for a guess, what else it could have meant."""

    source: str
    argument: str
    otherwise: str = ""


def resolve_data(spec: str) -> Resolved:
    """What a `--data` text means, without reading anything. Raises DataError where it names nothing that is there."""
    with faults_as(DataError, f"data {spec!r}"):
        return _resolved(spec)


def _resolved(spec: str) -> Resolved:
    name, colon, argument = spec.partition(":")
    if name in SOURCES and (colon or name in ("fashion-mnist", "digits")):
        return _existing(Resolved(source=name, argument=argument))
    path = Path(spec).expanduser()
    if not spec.strip():
        raise DataError(f"data {spec!r}: names nothing; expected {EXPECTED}")
    if path.is_dir():
        return Resolved(source="folder", argument=str(path))
    if path.suffix == ".parquet":
        return _existing(Resolved(source="parquet", argument=str(path)))
    if path.exists():
        kind = "file" if path.is_file() else "special file"
        raise DataError(f"data {spec!r}: a {kind} that is no data set (unpack archives); expected {EXPECTED}")
    owner, slash, rest = spec.partition("/")
    folder = Path(owner or "/").expanduser()
    if not slash or path.suffix or spec.startswith((".", "/", "~")) or "/" in rest or not rest or folder.is_dir():
        raise DataError(f"data {spec!r}: no such folder or file{_near(path)}; expected {EXPECTED}")
    return Resolved(
        source="hf",
        argument=spec,
        otherwise=f". There is no folder {spec!r} here either; name an existing folder or a data set of the hub "
        f"(hf://{spec} asks the hub without looking for a folder)",
    )


def _existing(resolved: Resolved) -> Resolved:
    """The same, if its folder or file exists. Raises DataError."""
    path = Path(resolved.argument).expanduser()
    if resolved.source == "folder" and not path.is_dir():
        raise DataError(f"folder {resolved.argument!r} does not exist")
    if resolved.source == "parquet" and not path.is_file():
        raise DataError(f"parquet file {resolved.argument!r} does not exist")
    return resolved


def _is_built_in(resolved: Resolved) -> bool:
    """Whether the data's splits are fixed."""
    if resolved.source == "folder":
        return is_idx_folder(Path(resolved.argument).expanduser())
    return resolved.source in ("fashion-mnist", "digits")


def _near(path: Path) -> str:
    """What the missing path could have been: a built-in set, or what lies beside it."""
    if meant := near(str(path), ("fashion-mnist", "digits")):
        return meant
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        return ""
    close = get_close_matches(path.name, names, 1)
    return f"; did you mean {str(path.parent / close[0])!r}?" if close else ""


def find_data(spec: str, options: Options | None = None) -> Found:
    """The undecoded images that a `--data` text names; data that is there but cannot be used is refused in it.

    Raises DataError where there is no such data.
    """
    resolved = resolve_data(spec)
    options = options or Options()
    if options != Options() and _is_built_in(resolved):
        raise DataError(
            f"data {spec!r}: {options.words} cannot be used, since built-in sets and IDX files have fixed splits and "
            "no columns; leave it out"
        )
    try:
        if resolved.source == "hf" and resolved.otherwise:
            return hub(resolved.argument, options, otherwise=resolved.otherwise)
        return SOURCES[resolved.source](resolved.argument, options)
    except Unusable as error:
        return Found(name=shown(resolved.argument or spec), source=resolved.source, refused=str(error))


def describe_data(
    spec: str,
    *,
    side: int | None = None,
    deployed: int | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Description:
    """The data set as a search would use it, without torch; see load_data. Raises DataError where there is none."""
    with room_for(spec):
        return checked(survey(find_data(spec, options), side, deployed, progress), progress).description


def load_data(
    spec: str,
    *,
    side: int | None = None,
    deployed: int | None = None,
    options: Options | None = None,
    scored_on_test: bool | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set that a `--data` text names, in memory.

    Images that cannot be read are skipped and listed.

    Args:
        spec: "fashion-mnist", "digits", a folder, a parquet file, "owner/name" or "hf://owner/name".
        side: Pixels a side that images are brought to; None chooses them from the images.
        deployed: Pixels a side of the deployed network, above which `side` is not chosen.
        options: Splits and columns, where a guess fails.
        scored_on_test: Keep all training images for training, and score on the test images, as published figures of
            benchmarks do; None: as the data set is used in the literature.
        progress: Hears of how many images the headers are read, and then how many are decoded.

    Raises:
        DataError: There is no such data, it cannot be used, or it does not fit into memory.
    """
    from snsearch.training.loading import loaded

    with room_for(spec):
        found = find_data(spec, options)
        if scored_on_test is not None:
            found = replace(found, scored_on_test=scored_on_test)
        return loaded(survey(found, side, deployed, progress), progress)
