"""What SPEC means on the command line: an architecture key, a JSON file, or a space with options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from snsearch.codec import decode, parse_json
from snsearch.errors import SpecError
from snsearch.network import Architecture
from snsearch.solver import Budget, Design, SpaceSpec, load_space, scaled, solve

KEY_HELP = "SPEC is an architecture key, a JSON file that `snsearch solve --format json` wrote, or a space."


def _from_document(document: Any, where: str) -> list[Architecture]:
    if isinstance(document, dict) and isinstance(document.get("solutions"), list):
        return [arch for entry in document["solutions"] for arch in _from_document(entry, where)]
    if isinstance(document, dict) and isinstance(document.get("architecture"), dict):
        return _from_document(document["architecture"], where)
    if isinstance(document, dict):
        return [decode(Architecture, document, where)]
    raise SpecError(f"{where}: expected an architecture, or a document of `snsearch solve --format json`")


def architectures_of(
    spec: str,
    budgets: list[Budget],
    designs_of: Callable[[SpaceSpec], list[Design]],
    at: Budget,
    options: Sequence[str] = (),
) -> list[Architecture]:
    """The architectures that SPEC and the options name.

    `designs_of` and `budgets` apply where SPEC is a space; `at` is the input without a budget. `options` are those
    that the user gave and that only a space can take. Raises SpecError.
    """
    path = Path(spec)
    is_space = path.suffix != ".json" and ("_" not in spec or path.exists())
    if options and not is_space:
        raise SpecError(f"{spec!r} is one architecture already; {', '.join(options)} apply to a space")
    if path.suffix == ".json":
        try:
            return _from_document(parse_json(path.read_text(encoding="utf-8")), f'"{path.name}"')
        except OSError as error:
            raise SpecError(f"{spec!r} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise SpecError(f'"{path.name}": not valid JSON: {error}') from None
    if not is_space:
        return [Architecture.from_key(spec)]
    space = load_space(spec)
    if not budgets:
        return [scaled(space, design, at).architecture for design in designs_of(space)]
    return [solve(space, budget, design).architecture for budget in budgets for design in designs_of(space)]


def designs_by(
    groups: Sequence[int] | None, scales: Sequence[float] | None, *, depth: str | None, se: bool, no_shuffle: bool
) -> Callable[[SpaceSpec], list[Design]]:
    """What the options of a space say: every scale with every group count, by default the space's first."""
    return lambda space: [
        Design(groups=g, scale=scale, depth=depth, se=se, shuffle=False if no_shuffle else None)
        for scale in scales or (None,)
        for g in groups or space.groups[:1]
    ]


def given_for_a_space(own: Sequence[str]) -> list[str]:
    """The options of the command line, but for the command's own, that say which network of a space."""
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in own
        and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
    ]
