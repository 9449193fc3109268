"""Figures of commands as an earlier version printed them: `python -m tests.same_figures PROGRAM` writes them again.

Only numbers are kept, under the path of their keys: words may change, figures may not. tests/test_same_figures.py
compares this version with the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

GOLDEN = Path(__file__).parent / "fixtures" / "figures.json"
SAMPLE = Path(__file__).parent / "fixtures" / "v1" / "study.db"  # was reports/sample
SPACES = ("mobilenet-v1", "resnet", "resnext", "shufflenet-v1", "vgg-like", "xception-like")
DEVICES = ("snapdragon-810", "snapdragon-820", "ncnn-raspberry-pi-4", "counted-cortex-a72")

Figures = dict[str, float]


def commands() -> list[tuple[str, ...]]:
    """The commands whose figures are kept, without their --format json."""
    found: list[tuple[str, ...]] = []
    for space in SPACES:
        found += [("solve", "--space", space, "--mflops", mflops) for mflops in ("13", "40", "140")]
        found.append(("latency", "--space", space, "--mflops", "40"))
        found.append(("count", space))
    found.append(("solve", "--mflops", "40", "--tight"))
    found.append(("solve", "--mflops", "140", "--packed", "--se"))
    found.append(("solve", "--budget", "visual-wake-words"))
    found.append(("solve", "--params", "1M", "--peak-memory", "2MiB", "--precision", "int8", "--resolution", "160"))
    found += [("latency", "--groups", "1,2,3,4,8", "--mflops", "140", "--profile", name) for name in DEVICES]
    found += [("count", "shufflenet-v1", "--groups", groups) for groups in ("1", "3", "8")]
    found.append(("report", str(SAMPLE)))
    return found


def figures_of(text: str) -> Figures:
    """Every number of a JSON document by the path to it; true and false are none."""
    found: Figures = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}/{key}")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{path}/{index}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[path] = value

    walk(json.loads(text), "")
    return found


def name_of(command: tuple[str, ...]) -> str:
    """The command as the file names it: without the folders of this machine."""
    return " ".join("reports/sample/study.db" if word == str(SAMPLE) else word for word in command)


def write(run: Callable[[tuple[str, ...]], str]) -> None:
    """Writes the figures of every command."""
    found = {name_of(command): figures_of(run((*command, "--format", "json"))) for command in commands()}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    program = sys.argv[1]
    write(lambda words: subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout)
