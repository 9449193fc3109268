"""What ncnn's own benchncnn prints -> latencies of known networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from snsearch.errors import SpecError
from snsearch.network import KNOWN
from snsearch.prose import excerpt

_LINE = re.compile(
    r"\s*(?P<name>[\w.+-]+)\s+min\s*=\s*[\d.]+\s+max\s*=\s*[\d.]+\s+avg\s*=\s*(?P<avg>\d{1,9}(?:\.\d{1,9})?)\s*"
)
_SETTING = re.compile(r"\s*(?P<name>num_threads|gpu_device)\s*=\s*(?P<value>-?\d{1,9})\s*")
_EXPECTED = {"num_threads": "1", "gpu_device": "-1"}
_AGAIN = "run `benchncnn 8 1 2 -1 1`: eight loops, one thread, big cores, no GPU"


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchNcnn:
    """One run of benchncnn."""

    measured: tuple[tuple[str, str, float], ...]  # known network, its family, milliseconds on average
    skipped: tuple[str, ...]  # networks that are not known here, such as detectors and int8 models


def parse_benchncnn(lines: Sequence[str], where: str) -> BenchNcnn:
    """The latencies of a run on one thread, as it was printed.

    Raises SpecError for several runs, several threads, a GPU, or no line of a known network.
    """
    known = {one.benchncnn: one for one in KNOWN.values() if one.benchncnn}
    found: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        if (setting := _SETTING.fullmatch(line)) and setting["value"] != _EXPECTED[setting["name"]]:
            raise SpecError(
                f"{where}, line {number}: {excerpt(line.strip())}; expected {_EXPECTED[setting['name']]}: {_AGAIN}"
            )
        if (match := _LINE.fullmatch(line)) is None:
            continue
        name, ms = match["name"], float(match["avg"])
        if name in found:
            raise SpecError(f"{where}, line {number}: {excerpt(name)} a second time; keep one run in the file")
        if ms <= 0:
            raise SpecError(f"{where}, line {number}: {excerpt(name)} takes {ms:g} ms; expected a positive time")
        found[name] = ms
    measured = tuple((known[name].name, known[name].family, ms) for name, ms in found.items() if name in known)
    if not measured:
        raise SpecError(
            f"{where}: no line of a network that is known here, such as "
            f"`squeezenet  min = 31.66  max = 31.87  avg = 31.74`; {_AGAIN}"
        )
    return BenchNcnn(measured=measured, skipped=tuple(name for name in found if name not in known))
