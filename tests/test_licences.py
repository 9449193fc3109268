"""Every package that snsearch needs, whatever extras are installed, has a licence that it may depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from importlib import metadata

import pytest
from packaging.requirements import Requirement

# What a package under the MIT licence may import. None of it is copied into snsearch's own distribution.
PERMITTED = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-0"}
    | {"MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"}
    | {"CNRI-Python", "WTFPL"}
    | {"MPL-2.0"}  # its terms are for its own files
    | {"LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"}  # imported, hence replaceable
)
# How packages say it that have no licence expression.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
TEXTS = {
    "Apache 2.0 License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "MIT licensed, as found in the LICENSE file": "MIT",
}

# Whose metadata has no licence's name: what the file beside it says.
READ = {"pyaml": "WTFPL", "tiktoken": "MIT", "torchao": "BSD-3-Clause"}


def licence_of(about: Message) -> str:
    """The licence expression of a package's metadata; of older ones made from its classifiers, else its text."""
    if expression := about.get("License-Expression") or READ.get(about.get("Name", "")):
        return expression
    named = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier", []) if one.startswith("License :: ")]
    named = [one for one in named if one != "OSI Approved"]
    text = about.get("License", "").strip()
    # Several classifiers may mean a choice, or that all apply: the latter is the strict reading.
    return " AND ".join(CLASSIFIERS.get(one, one) for one in named) or TEXTS.get(text, text)


def may_be_needed(licence: str) -> bool:
    """Whether snsearch may depend on a package under a licence expression; parentheses are read strictly."""
    choices = re.split(" AND | OR ", re.sub("[()]", "", licence)) if "(" in licence else licence.split(" OR ")
    accepted = [
        all(part.partition(" WITH ")[0].strip() in PERMITTED for part in one.split(" AND ")) for one in choices
    ]
    return all(accepted) if "(" in licence else any(accepted)


def installed_needs(name: str, extras: frozenset[str]) -> Iterator[metadata.Distribution]:
    """The installed packages that a package needs with some extras, and what those need in turn."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        try:
            found = metadata.distribution(asked[0])
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed
        yield found
        for line in found.requires or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *asked[1]}):
                waiting.append((need.name, frozenset(need.extras)))


def made_up(**fields: str | list[str]) -> Message:
    """The metadata of a package that does not exist."""
    about = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            about[name.replace("_", "-")] = value
    return about


def test_every_installed_dependency_has_a_licence_that_snsearch_may_depend_on() -> None:
    extras = frozenset(metadata.metadata("snsearch").get_all("Provides-Extra", []))
    licences = {found.name: licence_of(found.metadata) for found in installed_needs("snsearch", extras)}
    assert {"snsearch", "torch", "pytest", "MarkupSafe"} <= set(licences)  # also what is needed by what is needed
    refused = {name: licence or "unknown" for name, licence in licences.items() if not may_be_needed(licence)}
    assert refused == {}


@pytest.mark.parametrize(
    "about",
    [
        made_up(License_Expression="MIT"),
        made_up(License_Expression="GPL-3.0-only OR MIT"),
        made_up(License_Expression="Apache-2.0 WITH LLVM-exception AND BSD-2-Clause"),
        made_up(License_Expression="(MIT OR Apache-2.0) AND BSD-3-Clause"),
        made_up(
            Classifier=["Topic :: Utilities", "License :: OSI Approved", "License :: OSI Approved :: MIT License"]
        ),
        made_up(License="Copyright, and a page of conditions", Classifier="License :: OSI Approved :: BSD License"),
        made_up(License="MPL-2.0 AND MIT"),
    ],
    ids=lambda about: "; ".join(map(str, about.values())),
)
def test_a_permitted_licence_is_accepted(about: Message) -> None:
    assert may_be_needed(licence_of(about))


@pytest.mark.parametrize(
    "about",
    [
        made_up(Name="silent"),
        made_up(License="UNKNOWN"),
        made_up(License="see the file"),
        made_up(License_Expression="GPL-3.0-only"),
        made_up(License_Expression="AGPL-3.0-or-later"),
        made_up(License_Expression="MIT AND GPL-2.0-only"),
        made_up(License_Expression="(MIT OR GPL-2.0-only) AND MIT"),
        made_up(License_Expression="LicenseRef-own", License="MIT"),
        made_up(Classifier="License :: OSI Approved :: GNU General Public License v3 (GPLv3)", License="MIT"),
        made_up(
            Classifier=[
                "License :: OSI Approved :: MIT License",
                "License :: OSI Approved :: GNU Affero General Public License v3",
            ]
        ),
        made_up(Classifier="License :: Other/Proprietary License"),
    ],
    ids=lambda about: "; ".join(map(str, about.values())),
)
def test_another_licence_is_refused(about: Message) -> None:
    assert not may_be_needed(licence_of(about))
