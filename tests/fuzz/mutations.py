"""Strategies: JSON values of any kind, documents and texts that are changed a little, and command lines."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from snsearch.errors import SnsearchError

T = TypeVar("T")

# What a value of another kind, another size or another place would be.
ODD = (None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"))
ODD_TEXTS = ("", " ", "x", "0", "NaN", "\x1b[2J", "a\nb", "é", "\udcff", "{0}", "%s", "<b>", "x" * 5000)
scalars = st.sampled_from(ODD) | st.sampled_from(ODD_TEXTS) | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
# What TOML can say beside what Python's literals can.
TOML_LITERALS = (
    *("0", "1", "-1", "1e308", "1e-320", "nan", "-inf", "9" * 25, "9" * 5000, "true", "0x10", "1_000", "12:00:00"),
    *(
        '""',
        '"x"',
        '"\\u0000"',
        "'''\nx'''",
        "[]",
        "[[]]",
        "[1, 2]",
        "[1, 'x']",
        "[0.5, 1.0, 2.0]",
        "{}",
        "{a.b = 1}",
    ),
    *("1979-05-27", "[" * 50, "[" * 3000, "'x'", '"a" "b"', "", "{ a = 1, a = 2 }", "[[1, 2], [3, 4]]", "[3, 2, 1]"),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with each of its keys or indices."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


@st.composite
def mutated(draw: st.DrawFn, documents: Sequence[Any], times: int = 3) -> Any:
    """One of the JSON documents with up to that many values replaced, removed, renamed, or put elsewhere."""
    holder = [copy.deepcopy(draw(st.sampled_from(documents)))]
    for _ in range(draw(st.integers(1, times))):
        places = list(_places(holder))
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "copy"])):
            case "replace":
                container[key] = draw(json_values)
            case "remove" if container is not holder:
                del container[key]
            case "rename" if isinstance(container, dict):
                container[draw(st.sampled_from(ODD_TEXTS) | st.text(max_size=8))] = container.pop(key)
            case _:
                other, place = draw(st.sampled_from(places))
                container[key] = copy.deepcopy(other[place])
    return holder[0]


@st.composite
def mutated_text(draw: st.DrawFn, texts: Sequence[str], inserts: Sequence[str], times: int = 4) -> str:
    """One of the texts with up to that many pieces cut out, doubled, moved or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, times))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(
            st.sampled_from(["", text[start:end] * 2, text[:12]]) | st.sampled_from(inserts) | st.text(max_size=4)
        )
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def mutated_toml(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """One of the TOML texts with a few of its lines changed: other values, other keys, lines lost, doubled, moved."""
    lines = draw(st.sampled_from(texts)).splitlines()
    values = [line.partition("=")[2].strip() for line in lines if "=" in line and not line.startswith("#")]
    literals = st.sampled_from(TOML_LITERALS) | st.sampled_from(values) | json_values.map(_as_toml)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[index].partition("=")
        match draw(st.sampled_from(["value", "value", "value", "key", "lose", "double", "move", "break"])):
            case "value" if equals:
                lines[index] = f"{key}= {draw(literals)}"
            case "key":
                lines[index] = draw(st.sampled_from(lines)).partition("=")[0] + lines[index][len(key) :]
            case "lose":
                lines[index] = ""
            case "double":
                lines.insert(index, lines[index])
            case "move":
                lines.insert(draw(st.integers(0, len(lines))), lines[index])
            case _:
                lines[index] = draw(mutated_text([lines[index]], TOML_LITERALS, times=2))
    return "\n".join(lines) + "\n"


def _as_toml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str | list) else str(value)


def read_or_refused(read: Callable[[], T], refusal: type[SnsearchError]) -> tuple[T | None, str]:
    """What was read, or the words of its refusal, which are not endless. Other errors are faults of snsearch."""
    try:
        return read(), ""
    except refusal as error:
        words = str(error)
    assert 0 < len(words) < 1000
    return None, words
