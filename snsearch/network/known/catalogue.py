"""The known networks by name, and the reading of names and keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from snsearch.codec import near
from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.network.arch import Architecture
from snsearch.network.known.classic import CLASSIC
from snsearch.network.known.entry import Describe, KnownNetwork
from snsearch.network.known.mobile import MOBILE
from snsearch.network.known.named import AnyNetwork, NamedNetwork
from snsearch.network.known.nasnet import NASNET
from snsearch.network.known.residual import RESIDUAL
from snsearch.network.known.shuffle import SHUFFLE
from snsearch.prose import shortened

KNOWN: dict[str, KnownNetwork] = {
    one.name: one for one in (*CLASSIC, *RESIDUAL, *MOBILE, *SHUFFLE, *NASNET)
}  # by name, in the order of a list


def description_of(name: str) -> Describe:
    """What adds the blocks of a known network. Raises SpecError for an unknown one, or if it is an Architecture."""
    known = known_network(name)
    if isinstance(known.network, Architecture):
        raise SpecError(f"{name!r} is an architecture; its key is {known.network.key}")
    return known.network


def known_network(name: str) -> KnownNetwork:
    """The known network of that name. Raises SpecError for an unknown one."""
    if name not in KNOWN:
        raise SpecError(f"no network is named {name!r}{_near(name)}; `snsearch networks` lists them")
    return KNOWN[name]


def _near(name: str, others: Iterable[str] = ()) -> str:
    return near(name[:60].lower().replace("_", "-"), (*KNOWN, *others))


def named(known: KnownNetwork) -> AnyNetwork:
    """A known network at its published input and classes."""
    if isinstance(known.network, Architecture):
        return known.network
    return NamedNetwork(
        name=known.name, input_channels=3, resolution=(known.resolution, known.resolution), classes=known.classes
    )


_NOTHING: Final[Mapping[str, Iterable[str]]] = {}
_KEY = re.compile(
    r"(?P<name>[a-z0-9.-]+)_(?P<channels>\d{1,9})x(?P<height>\d{1,9})x(?P<width>\d{1,9})_c(?P<c>\d{1,9})"
)


def network_of(text: str, others: Mapping[str, Iterable[str]] = _NOTHING) -> AnyNetwork:
    """The network of a known network's name, of its key, or of an architecture's key.

    Args:
        text: the name or key.
        others: what the caller has looked for already, such as "space", each with the names that there are.

    Raises SpecError, with a name that is near.
    """
    if text in KNOWN:
        return named(KNOWN[text])
    match = _KEY.fullmatch(text)
    if match is None:
        if "_stem" in text:
            return Architecture.from_key(text)
        if text in bundled_names("spaces"):
            raise SpecError(
                f"{text!r} is a space, not a network; `snsearch solve --space {text}`, in Python snsearch.solve, "
                "makes networks of it"
            )
        meant = _near(text, (name for names in others.values() for name in names))
        expected = (
            ", and it is no key; expected a name of `snsearch networks`, or a key such as "
            "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"
        )
        raise SpecError(f"no {' or '.join(('network', *others))} is named {shortened(text)}{meant or expected}")
    return NamedNetwork(
        name=match["name"],
        input_channels=int(match["channels"]),
        resolution=(int(match["height"]), int(match["width"])),
        classes=int(match["c"]),
    )
