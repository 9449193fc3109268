"""A model card as Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from snsearch.exports.int8 import Int8
from snsearch.prose import printable
from snsearch.units import format_bytes


def markdown_of(card: dict[str, Any], int8: Int8 | None, python: str, cpp: str) -> str:
    """The card for readers, with examples in Python and C++ where there are some."""
    return "\n".join(_lines(card, int8, python, cpp)) + "\n"


def _lines(card: dict[str, Any], int8: Int8 | None, python: str, cpp: str) -> Iterator[str]:
    form, given, made, counts = card["format"], card["input"], card["output"], card["counts"]
    yield from (f"# {card['key']}", "", f"{form['what']}; batch norm is {form['batch_norm']}.", "")
    yield f"Weights: {card['weights']}."
    if not card["trained"]:
        yield "**These weights are random.** They serve to time and to integrate the network, not to classify."
    yield from ("", "| File | Bytes | SHA-256 |", "| --- | --- | --- |")
    for name, file in card["files"].items():
        yield f"| {name} | {file['bytes']:,} | {file['sha256'][:16]} |"
    yield from ("", "## Input and output", "")
    shape = " x ".join(map(str, given["shape"]))
    yield f"- Input `{given['name']}`: {shape} ({given['layout']})."
    numbers = f"mean {given['mean']}, std {given['std']} ({given['normalised_by']})"
    yield f"- Normalisation: {given['normalisation']}; {numbers}."
    yield f"- Resizing: {given['resizing']}."
    yield f"- Output `{made['name']}`: {made['what']}: {_named(made['classes'])}."
    if python:
        yield from (
            "",
            "In Python, saved in this folder and called with the path of an image:",
            "",
            "```python",
            python.rstrip(),
            "```",
        )
    if cpp:
        yield from ("", "In C++, with ncnn's headers and library:", "", "```cpp", cpp.rstrip(), "```")
    yield from ("", "## Costs", "")
    yield f"- {counts['macs'] / 1e6:.2f} M multiply-adds, {counts['parameters']:,} parameters."
    others = [f"{name} {total / 1e6:.1f} M" for name, total in counts["conventions"].items()]
    yield f"- As counters count: {', '.join(others)}."
    peak, size = (format_bytes(counts[name]) for name in ("peak_activation_bytes", "weight_bytes"))
    yield f"- Weights {size}, peak activation memory {peak}, in float32."
    yield from ("", "## Latency", "")
    yield from [f"- {latency_words(one)}" for one in card["latency"]] or [
        "Not measured: `snsearch export … --device DEVICE`."
    ]
    yield from ("", "## Checks", "")
    yield from _checks(card)
    if int8 is not None:
        lines = (f"- {line}" for line in (*int8_lines(int8), *int8.warnings))
        yield from ("", "## Int8", "", *lines, *_int8_table(int8))
    yield from _origin(card)


def _checks(card: dict[str, Any]) -> Iterator[str]:
    parity, accuracy = card["parity"], card["accuracy"]
    on = f"{parity['images']:,} test images" if parity["images"] else "random inputs"
    yield (
        f"- Largest difference to torch's logits on {on}: {parity['max_difference']:.1e} of the largest; the same "
        f"class in {parity['argmax_agreement']:.1%}."
    )
    if accuracy is not None:
        yield f"- Accuracy: torch {accuracy['torch']:.2%}, exported {accuracy['exported']:.2%}."
        if not card["trained"]:
            yield "  It is that of random weights."


def int8_lines(int8: Int8) -> list[str]:
    """What became of accuracy, latency and size."""
    accuracy, latency, size = int8.accuracy, int8.latency_ms, int8.bytes
    return [
        f"int8: {int8.calibration_images:,} calibration images, weights per channel; in float32: "
        f"{', '.join(int8.kept_float) or 'no layer'}",
        f"int8 accuracy: float32 {accuracy.float32:.2%}, int8 {accuracy.int8:.2%}",
        f"int8 latency: float32 {latency.float32:.3g} ms, int8 {latency.int8:.3g} ms; {int8.latency_of}",
        f"int8 size: float32 {format_bytes(size.float32)}, int8 {format_bytes(size.int8)}",
    ]


def _int8_table(int8: Int8) -> Iterator[str]:
    yield from (
        "",
        "Error of each layer's output over the root mean square of its channels, and what its input lacks:",
        "",
    )
    yield from ("| Layer | Error | Added |", "| --- | --- | --- |")
    for one in int8.layers:
        yield f"| {one.layer} | {one.error:.2%} | {one.added:.2%} |"


def _origin(card: dict[str, Any]) -> Iterator[str]:
    search, training, data = card["search"], card["training"], card["data"]
    if search is not None:
        yield from ("", "## Search", "")
        deviation = "" if search["from_budget"] is None else f", {search['from_budget']:+.2%} from it"
        yield f"- Candidate #{search['trial']} of {search['study']}; space {search['space']}."
        yield f"- Budget: {search['budget']}{deviation}."
        if error := search["error"]:
            low, high = (f"{100 * bound:.2f}" for bound in error["interval"])
            on = f"{error['seeds']} seed(s), {error['test_images']:,} images"
            yield f"- Error {error['value']:.2%} [{low}, {high}], {on}: of {error['of']}."
        if search["objective"]["value"] is not None:
            yield f"- {search['objective']['name']}: {search['objective']['value']:.4g}, by the search."
        yield f"- Recipe: {search['recipe']}."
        yield f"- Data: {search['data']}."
    if training is not None:
        yield from ("", "## Training", "")
        yield f"- Recipe: {training['recipe'] or 'not recorded'}; seed {training['seed']}."
        if training["test_error"] is not None:
            yield f"- Test error: {training['test_error']:.2%} of {training['test_images'] or '?'} images."
    yield from ("", "## Data", "")
    if data is None:
        yield "None is recorded."
    else:
        named = [
            f"{role.replace('_', ' ')} {data[role]}"
            for role in ("searched_on", "trained_on", "checked_on")
            if data[role]
        ]
        yield f"- {'; '.join(named)}."
        licences = [f"{name}: {licence}" for name, licence in data["licences"].items()]
        yield f"- Licence: {'; '.join(licences) or 'not known to snsearch'}."
    yield from ("", "## Commands", "", "```sh", *(shlex.join(words) for words in card["commands"]), "```", "")
    shown = ("snsearch", "torch", "python", "system", "processor")
    yield "Versions: " + ", ".join(f"{name} {card['versions'][name]}" for name in shown) + "."


def latency_words(one: dict[str, Any]) -> str:
    """A latency with its interval and provenance, or why there is none."""
    if one["ms"] is None:
        return str(one["provenance"])
    low, high = one["interval_ms"]
    return f"{one['ms']:.3g} ms [{low:.3g}, {high:.3g}]: {one['provenance']}"


def _named(classes: list[str], most: int = 20) -> str:
    further = f" and {len(classes) - most} more (card.json)" if len(classes) > most else ""
    return ", ".join(map(printable, classes[:most])) + further
