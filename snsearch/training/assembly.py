"""Groups of labelled images as a source names them -> a Found with one listing per role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from snsearch.prose import counted
from snsearch.training.found import Found, Listing, Options, Read, Skipped, Unusable, named
from snsearch.training.splits import Roles, assign_roles, role_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The images of one split as its source names it; a label is None where it is withheld."""

    origin: str  # "folder Testing/"
    names: Sequence[str]
    labels: Sequence[str | None]
    read: Read
    unlabelled: str = "label withheld"  # why an image has no label
    remarks: tuple[str, ...] = ()


def assemble(base: Found, groups: Mapping[str, Group], options: Options, *, kind: str) -> Found:
    """The data set of these splits; `kind` is what the source calls one ("folder", "split").

    A split whose labels are all withheld is set aside with a remark, and so is one whose name says no role; where
    roles are ambiguous the result is refused.
    """
    skipped = list(base.skipped)
    remarks = list(base.remarks)
    labelled: dict[str, Group] = {}
    for name, group in groups.items():
        remarks += group.remarks
        bare = [group.names[index] for index, label in enumerate(group.labels) if label is None]
        skipped += [Skipped(name=image, reason=group.unlabelled) for image in bare]
        if len(bare) < len(group.names):
            labelled[name] = _labelled(group)
        elif bare:
            remarks.append(f"{group.origin} is not used: none of its {counted(len(bare), 'image')} has a label")
    base = replace(base, skipped=tuple(skipped), remarks=tuple(remarks))
    if not labelled:
        return replace(base, refused=f"{base.name}: no image has a label")
    try:
        roles = assign_roles(tuple(labelled), dict(options.splits), kind=kind)
    except Unusable as error:
        return replace(base, refused=f"{base.name}: {error}")
    return _with_roles(base, labelled, roles)


def _with_roles(base: Found, groups: Mapping[str, Group], roles: Roles) -> Found:
    skipped = list(base.skipped)
    remarks = [*base.remarks, *roles.remarks]
    if roles.unused:
        words = ", ".join(
            f"{groups[name].origin} ({counted(len(groups[name].names), 'image')})" for name in roles.unused
        )
        remarks.append(f"not used: {words}; choose splits by --split train=NAME,test=NAME")
        skipped += [
            Skipped(name=image, reason="split that is not used")
            for name in roles.unused
            for image in groups[name].names
        ]
    listings = []
    for role, name in roles.names.items():
        group = groups[name]
        if len(groups) > 1 and role == "test" and role_of(name) == "validation":
            remarks.append(f"{group.origin} is the only split beside training, so it is the test split")
        labels = [label for label in group.labels if label is not None]
        listings.append(Listing(role=role, origin=group.origin, names=group.names, labels=labels, read=group.read))
    base = replace(base, listings=tuple(listings), skipped=tuple(skipped), remarks=tuple(remarks))
    return replace(base, refused=_refusal(base))


def _labelled(group: Group) -> Group:
    """The group without its unlabelled images."""
    kept = [index for index, label in enumerate(group.labels) if label is not None]
    if len(kept) == len(group.names):
        return group
    read = group.read
    return replace(
        group,
        names=[group.names[index] for index in kept],
        labels=[group.labels[index] for index in kept],
        read=lambda index: read(kept[index]),
    )


def _refusal(found: Found) -> str:
    """Why listed data cannot be used, as far as labels tell; empty where it can."""
    train = found.of_role("train")
    assert train is not None
    classes = set(train.labels)
    if len(classes) < 2:
        return (
            f"{found.name}: {len(classes)} class in the training images ({named(classes)}); at least two are needed"
        )
    for listing in found.listings:
        if strange := sorted(set(listing.labels) - classes):
            return (
                f"{found.name}: the {listing.role} images have classes that no training image has: {named(strange)}"
            )
    return ""
