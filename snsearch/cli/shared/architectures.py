"""What SPEC means: a key, a known network's name, a JSON file, or a space with options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import snsearch
from snsearch.cli.shared.options import as_asked
from snsearch.codec import decode, parse_json
from snsearch.errors import SpecError
from snsearch.files import bundled_names, names_a_file, read_given
from snsearch.network import KNOWN, AnyNetwork, Architecture, network_of

_MOST_BYTES = 2**23
KEY_HELP = (
    "SPEC is an architecture key, a name of `snsearch networks`, a JSON file that `snsearch solve --format json` "
    "wrote, or a space."
)


def _from_document(document: Any, where: str) -> list[Architecture]:
    if isinstance(document, dict) and isinstance(document.get("solutions"), list):
        return [arch for entry in document["solutions"] for arch in _from_document(entry, where)]
    if isinstance(document, dict) and isinstance(document.get("architecture"), dict):
        return _from_document(document["architecture"], where)
    if isinstance(document, dict):
        return [decode(Architecture, document, where)]
    raise SpecError(f"{where}: expected an architecture, or a document of `snsearch solve --format json`")


def architectures_of(spec: str, options: dict[str, Any], own: Sequence[str]) -> list[AnyNetwork]:
    """The architectures that SPEC and the command's options name; of a space, by default its first group count.

    Args:
        spec: a key, a known network's name, a JSON file, a space's name or a space's file.
        options: the values of `network_options`, which only a space can take.
        own: the command's parameters that apply to any SPEC.

    Raises SpecError.
    """
    path = Path(spec)
    known = bundled_names("spaces")
    is_file = path.suffix == ".toml" or "/" in spec or names_a_file(spec)
    is_space = path.suffix != ".json" and (spec in known or is_file) and spec not in KNOWN
    found = [] if is_space or path.suffix == ".json" else [network_of(spec, {"space": known})]
    if not is_space and (given := given_for_a_space(own)):
        raise SpecError(f"{spec!r} is one network already; {', '.join(given)} apply to a space")
    if found:
        return found
    if path.suffix == ".json":
        try:
            return list(_from_document(parse_json(read_given(path, _MOST_BYTES)), f'"{path.name}"'))
        except OSError as error:
            raise SpecError(f"{spec!r} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise SpecError(f'"{path.name}": not valid JSON: {error}') from None
    [space] = snsearch.spaces(spec)
    asked = as_asked(options)
    solutions = snsearch.solve(space=space, **{**asked, "groups": asked["groups"] or space.groups[:1]})
    return [solution.architecture for solution in solutions]


def given_for_a_space(own: Sequence[str]) -> list[str]:
    """The options of the command line, but for the command's own, that say which network of a space."""
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in own
        and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
    ]
