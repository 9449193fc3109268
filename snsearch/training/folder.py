"""Image folders: CLASS/IMAGE, SPLIT/CLASS/IMAGE, or images with labels in a CSV file beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from snsearch.files import read_limited
from snsearch.prose import counted
from snsearch.training.assembly import Group, assemble
from snsearch.training.found import Found, Options, Read, Skipped, Unusable, named, shown
from snsearch.training.labels import TABLES, LabelTable, read_label_table, rows_of_images
from snsearch.training.splits import assign_roles, role_of
from snsearch.training.tree import Tree

_EXPECTED = "expected train/CLASS/IMAGE, CLASS/IMAGE, images with a labels.csv, or .parquet files"
_Tops = dict[str, list[PurePosixPath]]


def image_folder(tree: Tree, options: Options) -> Found:
    """The data set of a folder that was scanned."""
    name = shown(tree.root.name or str(tree.root))
    tree, wrapped = _unwrapped(tree, options)
    remarks = [f"the classes lie in {wrapped}/"] if wrapped else []
    if tree.outside:
        links = counted(len(tree.outside), "link leads", "links lead")
        remarks.append(f"{links} out of the folder, and {'is' if len(tree.outside) == 1 else 'are'} followed: "
                       f"{named(tree.outside, 3)}")  # fmt: skip
    base = Found(name=name, source=f"image folder {name}", skipped=tuple(tree.skipped), remarks=tuple(remarks))
    if not tree.images:
        return replace(
            base,
            refused=f"folder {name!r} holds no images; {_EXPECTED}",
        )
    try:
        return _arranged(tree, base, options)
    except Unusable as error:
        return replace(base, refused=f"{name}: {error}")


def _unwrapped(tree: Tree, options: Options) -> tuple[Tree, str]:
    """The tree below folders that are the only ones and hold folders, as unpacked archives have them; and these."""
    wrapped: list[str] = []
    while tree.images and not options.splits:
        tops = {path.parts[0] for path in tree.images}
        inner = {path.parts[1] for path in tree.images if len(path.parts) > 2}
        [top, *others] = tops
        if (
            others
            or role_of(top)
            or len(tree.images[0].parts) < 2
            or not (len(inner) > 1 or any(map(role_of, inner)))
        ):
            break
        wrapped.append(top)
        tree = tree.below(top)
    return tree, shown("/".join(wrapped))


def _arranged(tree: Tree, base: Found, options: Options) -> Found:
    tops: _Tops = {}
    for path in tree.images:
        if len(path.parts) > 1:
            tops.setdefault(path.parts[0], []).append(path)
    loose = [path for path in tree.images if len(path.parts) == 1]
    table = _table_in(tree, PurePosixPath())
    if not tops and table is None:
        raise Unusable(f"{counted(len(loose), 'image')} in no class folder and no labels.csv; {_EXPECTED}")
    splits = _split_folders(tree, tops, table, options)
    if splits is None and table is not None and (loose or len(tops) < 2 or options.label_column):
        groups, used = _by_table(tree, table, options)
    elif splits is None:
        groups, used = {"": _by_folder(tree, tree.images, PurePosixPath(), f"folder {base.name}/")}, []
    else:
        groups, used = {}, []
        for split in splits:
            own = _table_of_split(tree, split, table)
            if own is None or any(len(path.parts) > 2 for path in tops[split]):
                groups[split] = _by_folder(tree, tops[split], PurePosixPath(split), f"folder {shown(split)}/")
            else:
                groups[split] = _by_rows(tree, tops[split], own, options, f"folder {shown(split)}/")
                used.append(own)
    unread = [path for path in tree.tables if path not in used]
    stray = [
        Skipped(name=shown(str(path)), reason=f"{path.suffix.lower()} file")
        for path in (*unread, *tree.parquet, *tree.shards)
    ]
    remarks = list(base.remarks)
    if table is not None and table in unread:
        remarks.append(f"{shown(table.name)} is not read, because the folders give the classes")
    if splits is not None and (left := sorted(set(tops) - set(splits))):
        remarks.append(f"not used, because --split leaves them out: {_listed(left)}")
        stray += [
            Skipped(name=shown(str(path)), reason="folder that --split leaves out")
            for top in left
            for path in tops[top]
        ]
    base = replace(base, skipped=(*base.skipped, *stray), remarks=tuple(remarks))
    return _named_from_root(assemble(base, groups, options, kind="folder"), splits is not None)


def _named_from_root(found: Found, has_splits: bool) -> Found:
    """Files of a folder without splits are named with the folder's own name in front."""
    if has_splits:
        return found
    head = f"{found.name}/"
    return replace(
        found,
        listings=tuple(replace(listing, names=[head + name for name in listing.names]) for listing in found.listings),
        skipped=tuple(replace(one, name=head + one.name) for one in found.skipped),
    )


def _split_folders(tree: Tree, tops: _Tops, table: PurePosixPath | None, options: Options) -> list[str] | None:
    """The folders that are splits; None where folders are classes. Raises Unusable where that is ambiguous."""
    if options.splits and not (table and _read(tree, table, options).splits):
        return list(assign_roles(tuple(tops), dict(options.splits), kind="folder").names.values())
    splits = [top for top in tops if role_of(top)]
    others = [top for top in tops if not role_of(top)]
    if not splits:
        return None
    flat = [top for top in splits if all(len(path.parts) == 2 for path in tops[top])]
    bare = [top for top in flat if _table_of_split(tree, top, table) is None]
    folders = _listed(splits)
    if len(bare) == len(splits) and others and {role_of(top) for top in splits} == {"train"}:
        return None  # a class may be called "train"
    if others:
        raise Unusable(
            f"{folders} by name {'is a split' if len(splits) == 1 else 'are splits'}, but beside "
            f"{'it' if len(splits) == 1 else 'them'} {_listed(others)} hold images too; rename the folders, or "
            "choose by --split train=NAME,test=NAME"
        )
    if bare:
        raise Unusable(
            f"{_listed(bare)}: images without class folders and without labels.csv; sort them into class folders, "
            "add a labels.csv with the columns image and label, or leave the folder out by --split train=NAME"
        )
    return splits


def _by_folder(tree: Tree, paths: Sequence[PurePosixPath], folder: PurePosixPath, origin: str) -> Group:
    """Images labelled by the first folder below `folder`; those that lie directly in it have no label."""
    depth = len(folder.parts)
    return Group(
        origin=origin,
        names=[shown(str(path)) for path in paths],
        labels=[shown(path.parts[depth]) if len(path.parts) > depth + 1 else None for path in paths],
        read=file_reader([tree.root / path for path in paths]),
        unlabelled="image in no class folder",
    )


def file_reader(paths: Sequence[Path]) -> Read:
    """Reads the bytes of a path by index."""
    return lambda index: read_limited(paths[index])


def _by_rows(
    tree: Tree, paths: Sequence[PurePosixPath], table: PurePosixPath, options: Options, origin: str
) -> Group:
    """Images labelled by the rows of a table."""
    rows = _read(tree, table, options)
    found = _rows(table, rows, paths)
    return _group_of_rows(tree, paths, rows, found, origin, _lost(rows, found))


def _by_table(tree: Tree, table: PurePosixPath, options: Options) -> tuple[dict[str, Group], list[PurePosixPath]]:
    """All images labelled by the table of the root, in the splits that it names."""
    rows = _read(tree, table, options)
    found = _rows(table, rows, tree.images)
    by_split: dict[str, list[int]] = {}
    for index in range(len(tree.images)):
        split = rows.splits[found[index]] if rows.splits is not None and index in found else ""
        by_split.setdefault(split, []).append(index)
    if len(by_split) > 1 and "" in by_split:  # images that no row names
        by_split[next(split for split in by_split if split)] += by_split.pop("")
    groups: dict[str, Group] = {}
    for split, indices in by_split.items():
        paths = [tree.images[index] for index in indices]
        chosen = {at: found[index] for at, index in enumerate(indices) if index in found}
        origin = f"{rows.name}, split {shown(split)}" if split else rows.name
        lost = () if groups else _lost(rows, found)  # once
        groups[split] = _group_of_rows(tree, paths, rows, chosen, origin, lost)
    return groups, [table]


def _lost(rows: LabelTable, found: dict[int, int]) -> tuple[str, ...]:
    """What is to be said of rows whose images were not found."""
    used = set(found.values())
    lost = [name for row, name in enumerate(rows.images) if row not in used]
    if not lost:
        return ()
    return (f"{rows.name}: {counted(len(lost), 'row names', 'rows name')} no image: {named(lost, 3)}",)


def _group_of_rows(
    tree: Tree,
    paths: Sequence[PurePosixPath],
    rows: LabelTable,
    found: dict[int, int],
    origin: str,
    remarks: tuple[str, ...],
) -> Group:
    return Group(
        origin=origin,
        names=[shown(str(path)) for path in paths],
        labels=[rows.labels[found[index]] if index in found else None for index in range(len(paths))],
        read=file_reader([tree.root / path for path in paths]),
        unlabelled=f"no label in {rows.name}",
        remarks=remarks,
    )


def _listed(folders: Sequence[str]) -> str:
    return " and ".join(f"{shown(folder)}/" for folder in folders)


def _rows(table: PurePosixPath, rows: LabelTable, paths: Sequence[PurePosixPath]) -> dict[int, int]:
    """The row of each image, whose path may be given from the table's folder or from the root on."""
    inner = [path.relative_to(table.parent) if path.is_relative_to(table.parent) else path for path in paths]
    return rows_of_images(rows, paths) | rows_of_images(rows, inner)


def _read(tree: Tree, table: PurePosixPath, options: Options) -> LabelTable:
    return read_label_table(tree.root / table, options.image_column, options.label_column)


def _table_in(tree: Tree, folder: PurePosixPath) -> PurePosixPath | None:
    """The table of labels of a folder: of a usual name, else the only one."""
    tables = [table for table in tree.tables if table.parent == folder]
    usual = [table for name in TABLES for table in tables if table.name.lower() == name]
    return usual[0] if usual else tables[0] if len(tables) == 1 else None


def _table_of_split(tree: Tree, split: str, root_table: PurePosixPath | None) -> PurePosixPath | None:
    """The table that labels a split's images: in its folder, named like it beside it, or that of the root."""
    beside = [table for table in tree.tables if len(table.parts) == 1 and table.stem.lower() == split.lower()]
    return _table_in(tree, PurePosixPath(split)) or (beside[0] if beside else root_table)
