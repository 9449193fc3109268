"""Counts of one repeat of a program: those of a run with two repeats minus those of one repeat.

The difference drops what a program does once: loading, first touches of memory, printing. Every run has the same
addresses (no randomisation, an empty environment, the same file names in a folder of its own), so counts repeat.
They vary by a few hundred instructions only, because the times that a runner prints differ in length.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import Cpu
from snsearch.device.counting.tools import Tools
from snsearch.device.programs import run_here
from snsearch.errors import DeviceError

COUNTS_FILE = "counts.json"


def run_counted(
    tools: Tools, cpu: Cpu, program: Path, arguments: Sequence[str], files: Sequence[Path], timeout_s: float
) -> tuple[dict[str, int], str]:
    """The plugin's counts of a whole run, and what the program printed.

    The program runs as ./program in a new folder with the files under their own names.

    Raises DeviceError if it fails, takes longer, or runs more than one thread.
    """
    with tempfile.TemporaryDirectory(prefix="snsearch-counted-") as temporary:
        folder = Path(temporary)
        for source, name in ((program, "program"), *((path, path.name) for path in files)):
            shutil.copy2(source, folder / name)
        for path, text in cpu.system_files().items():
            told = folder / "system" / path
            told.parent.mkdir(parents=True, exist_ok=True)
            told.write_text(text, encoding="ascii")
        plugin = f"{tools.plugin},l1d={cpu.l1d},l1i={cpu.l1i},l2={cpu.l2},out={COUNTS_FILE}"
        command = [
            *(str(tools.setarch), "--addr-no-randomize"),
            *(str(tools.qemu), "-cpu", cpu.qemu_cpu, "-L", str(folder / "system"), "-plugin", plugin),
            *("./program", *arguments),
        ]
        # In a session of its own: Ctrl-C asks snsearch, which lets the run end.
        done = run_here(
            command,
            timeout_s=timeout_s,
            doing=f"counting on {cpu.name}",
            missing="install it",
            slow="use a smaller network or resolution",
            cwd=folder,
            environment={},
        )
        if done.exit_code:
            raise DeviceError(f"counting on {cpu.name}: the program ended with {done.exit_code}: {done.last_line}")
        try:
            counted = json.loads((folder / COUNTS_FILE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            raise DeviceError(f"counting on {cpu.name}: the plugin wrote no counts: {done.last_line}") from None
    if counted["threads"] != 1:
        raise DeviceError(f"the program ran {counted['threads']} threads; expected 1")
    return {key: value for key, value in counted.items() if key not in ("schema", "threads")}, done.stdout


def counts_between(one: Mapping[str, int], two: Mapping[str, int]) -> Counts:
    """The counts of one warm repeat: those of a run with two repeats, minus those of one. Raises DeviceError."""
    # Work done once may differ by a cache line between runs, so a small difference can be negative.
    found = Counts(**{key: max(0, two[key] - one[key]) for key in one})
    if not found.instructions:
        raise DeviceError("counting: a second repeat executed nothing; check that the program reads its repeats")
    return found
