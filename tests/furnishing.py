"""A userland in an enclosure made into a board: its folders, devices, and what it says of its processor."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import without_vsock
from tests.arm_userland import UnavailableError
from tests.boards import MARKER, wait_for
from tests.enclosures import Enclosure, kind_of_enclosures

DISK_MIB = 48  # of the folders that the board can write to
CORES = os.cpu_count() or 1
KHZ = 1_500_000
_CORE = "sys/devices/system/cpu/cpu{core}"
# The userland is read-only; what is written goes into memory. The processor is the files', not the host's.
_FURNISH = """
cd /run/board
for folder in root data tmp run dev; do mount -t tmpfs -o size="${DISK_MIB}m,mode=755" none $folder; done
chmod 1777 tmp
mkdir -p data/local/tmp dev/pts
for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
printf %s "$MARKER" >run/snsearch-emulated
mount --bind "$FACTS/sys" sys
if mount -t proc none proc 2>/dev/null; then
  for file in cpuinfo loadavg meminfo; do mount --bind "$FACTS/proc/$file" proc/$file; done
else
  mount --bind "$FACTS/proc" proc
fi
cd /
"""


def _write_facts(folder: Path) -> None:
    """The files of a board with as many cores of a Cortex-A72 as this host has."""
    files = {
        "proc/cpuinfo": "".join(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
            "CPU part\t: 0xd08\nCPU revision\t: 3\n\n"
            for core in range(CORES)
        ),
        "proc/meminfo": "MemTotal:        3884368 kB\nMemFree:         3000000 kB\nMemAvailable:    3400000 kB\n",
        "proc/loadavg": "0.00 0.01 0.05 1/99 99\n",
        "sys/firmware/devicetree/base/model": "Emulated board, Cortex-A72\0",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "45000\n",
        "sys/devices/system/cpu/possible": f"0-{CORES - 1}\n" if CORES > 1 else "0\n",
    }
    files["sys/devices/system/cpu/present"] = files["sys/devices/system/cpu/possible"]
    files["sys/devices/system/cpu/online"] = files["sys/devices/system/cpu/possible"]
    for core in range(CORES):
        of_core = {
            "regs/identification/midr_el1": "0x00000000410fd083\n",
            "cpu_capacity": "1024\n",
            "cpufreq/cpuinfo_max_freq": f"{KHZ}\n",
            "cpufreq/cpuinfo_min_freq": "600000\n",
            "cpufreq/scaling_cur_freq": f"{KHZ}\n",
            "cpufreq/scaling_governor": "performance\n",
            "topology/physical_package_id": "0\n",
            "topology/core_id": f"{core}\n",
        }
        files |= {f"{_CORE.format(core=core)}/{name}": text for name, text in of_core.items()}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@functools.cache
def _own_users() -> bool | str:
    """Whether enclosures have users of their own, or why there are none."""
    try:
        return kind_of_enclosures()
    except UnavailableError as error:
        return str(error)


@contextlib.contextmanager
def furnished(script: str, variables: Mapping[str, str], *, own_network: bool) -> Iterator[tuple[Enclosure, Path]]:
    """A board's enclosure, and the folder of its facts. Skips where there can be none."""
    own_users = _own_users()
    if isinstance(own_users, str):
        pytest.skip(f"no emulated board: {own_users} (ARM code runs by qemu -L alone)")
    with tempfile.TemporaryDirectory(prefix="snsearch-board-") as name:
        facts = Path(name)
        _write_facts(facts)
        environment = {
            "FACTS": name,
            "MARKER": MARKER,
            "DISK_MIB": str(DISK_MIB),
            "QEMU_CPU": "cortex-a72",
            "PYTHON": sys.executable,
            "WITHOUT_VSOCK": without_vsock.__file__,
            **variables,
        }
        try:
            enclosure = Enclosure(_FURNISH + script, environment, own_network=own_network, own_users=own_users)
        except UnavailableError as error:
            pytest.skip(f"no emulated board: {error}")
        with enclosure:
            yield enclosure, facts


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"no emulated board: {program} is not installed")


def started(answers: Callable[[], bool], enclosure: Enclosure) -> None:
    """Waits for a daemon."""
    try:
        wait_for(answers, seconds=30)
    except AssertionError:
        pytest.fail(f"the board's daemon does not answer; it says: {enclosure.errors()[-2000:]}")
