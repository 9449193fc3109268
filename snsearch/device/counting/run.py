"""Counts of one repeat of a program: a run with one repeat more, minus a run without it.

What the program does once (loading, its first touch of memory, printing) falls out of the difference. Addresses are
the same in every run (no randomisation, an empty environment, the same names in a folder of its own), and so are the
counts, up to what a run prints of itself: the times in a runner's answer move them by some hundred instructions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import Cpu
from snsearch.device.counting.tools import Tools
from snsearch.errors import DeviceError

COUNTS_FILE = "counts.json"


def run_counted(
    tools: Tools, cpu: Cpu, program: Path, arguments: Sequence[str], files: Sequence[Path], timeout_s: float
) -> tuple[dict[str, int], str]:
    """The plugin's counts of a whole run and what the program printed.

    The program is started as ./program in an empty folder that holds the files under their own names.

    Raises DeviceError where it fails, takes longer, or runs more than one thread.
    """
    with tempfile.TemporaryDirectory(prefix="snsearch-counted-") as name:
        folder = Path(name)
        for source, target in ((program, folder / "program"), *((path, folder / path.name) for path in files)):
            _place(source, target)
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
        try:
            # An emulator's core dump is of no use, and may be large.
            done = subprocess.run(
                command,
                cwd=folder,
                env={},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                start_new_session=True,  # Ctrl-C asks snsearch, which lets the run end
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"counting on {cpu.name} took longer than {timeout_s:.0f} s and was ended; "
                "a smaller network or resolution takes less"
            ) from None
        except OSError as error:
            raise DeviceError(f"counting on {cpu.name}: {command[0]} cannot be run: {error.strerror}") from None
        if done.returncode:
            said = _last_line(done.stderr or done.stdout)
            raise DeviceError(f"counting on {cpu.name}: the program ended with {done.returncode}: {said}")
        try:
            counted = json.loads((folder / COUNTS_FILE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            said = _last_line(done.stderr) or "qemu said nothing"
            raise DeviceError(f"counting on {cpu.name}: the plugin wrote no counts: {said}") from None
    if counted["threads"] != 1:
        raise DeviceError(f"the program ran {counted['threads']} threads; counts are of one")
    return {key: value for key, value in counted.items() if key not in ("schema", "threads")}, done.stdout


def count_repeat(
    tools: Tools,
    cpu: Cpu,
    program: Path,
    arguments: Callable[[int], Sequence[str]],
    files: Sequence[Path] = (),
    *,
    timeout_s: float = 900,
    check: Callable[[int, str], object] = lambda repeats, output: None,
) -> Counts:
    """The counts of one repeat of the program, warm: two repeats less one.

    `arguments` gives the program's for a number of repeats; `check` may raise on what it printed. Raises DeviceError.
    """
    runs = []
    for repeats in (1, 2):
        counted, printed = run_counted(tools, cpu, program, arguments(repeats), files, timeout_s)
        check(repeats, printed)
        runs.append(counted)
    # What a program does once need not be the same to the line: a small count may come out below nothing.
    found = Counts(**{key: max(0, runs[1][key] - runs[0][key]) for key in runs[0]})
    if not found.instructions:
        raise DeviceError(f"counting on {cpu.name}: a second repeat executed nothing; is the program given repeats?")
    return found


def _place(source: Path, target: Path) -> None:
    """Puts a file there, without copying where the file system allows."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
