"""The cores whose caches are counted: one TOML file per core, bundled or the user's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from snsearch.codec import Count, Field, decode, number, text
from snsearch.device.counting.counts import Weighing
from snsearch.toml_files import find_file, read_toml
from snsearch.units import parse_bytes

CLOCK_KHZ = 1_500_000  # clock that the emulated system reports; counts do not depend on it


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """A set-associative cache that replaces its least recently used line."""

    size: Annotated[int, Field(read=parse_bytes, expected='bytes such as 32768 or "32KiB"')]
    ways: Count
    line: Count  # bytes

    def __str__(self) -> str:
        return f"{self.size}:{self.ways}:{self.line}"

    @property
    def words(self) -> str:
        """The cache for readers: "32 KiB, 2 ways, lines of 64 bytes"."""
        return f"{self.size // 1024} KiB, {self.ways} ways, lines of {self.line} bytes"

    def is_regular(self) -> bool:
        """Whether lines and sets are powers of two, and lines have 16 to 4096 bytes."""
        sets, rest = divmod(self.size, self.ways * self.line)
        powers = not sets & (sets - 1) and not self.line & (self.line - 1)
        return not rest and sets > 0 and powers and 16 <= self.line <= 4096


RegularCache = Annotated[
    Cache, Field(check=Cache.is_regular, expected="lines of 16 to 4096 bytes and sets, both powers of two")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """A core: its caches, and the register values that the emulated system reports."""

    name: Annotated[str, text("a name")]
    title: Annotated[str, text("the core and where it is found")]
    # qemu's name of a core with the same instructions.
    qemu_cpu: Annotated[str, text("a name that `qemu-aarch64 -cpu help` lists")]
    # ARM's main id register, by which libraries recognise a core.
    midr: Annotated[int, number("the main id register, such as 0x410fd083", 1, (1 << 32) - 1)]
    cores: Annotated[int, number("how many cores share the second level, 1 to 32", 1, 32)]
    source: Annotated[str, text("where the sizes come from")]
    l1d: RegularCache
    l1i: RegularCache
    l2: RegularCache
    # None if no device with this core has published figures.
    weighing: Annotated[Weighing | None, Field(key="milliseconds", toml=True)]

    @property
    def digest(self) -> str:
        """A hash of everything that counts depend on."""
        told = (self.qemu_cpu, self.midr, self.cores, str(self.l1d), str(self.l1i), str(self.l2))
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def system_files(self) -> dict[str, str]:
        """The files of /proc and /sys that describe this core, by path without the leading slash.

        Libraries tile their loops by the caches that the system reports. Without these files counts would depend on
        the host.
        """
        files = {"proc/cpuinfo": "\n".join(map(self._cpuinfo, range(self.cores)))}
        sharers = f"{(1 << self.cores) - 1:x}"
        for core in range(self.cores):
            folder = f"sys/devices/system/cpu/cpu{core}"
            files[f"{folder}/topology/thread_siblings_list"] = f"{core}\n"
            files[f"{folder}/topology/core_cpus_list"] = f"{core}\n"
            files[f"{folder}/cpufreq/cpuinfo_max_freq"] = f"{CLOCK_KHZ}\n"
            files[f"{folder}/cpufreq/cpuinfo_min_freq"] = f"{CLOCK_KHZ}\n"
            files[f"{folder}/cpufreq/scaling_cur_freq"] = f"{CLOCK_KHZ}\n"
            files[f"{folder}/regs/identification/midr_el1"] = f"{self.midr:#018x}\n"
            for index, (level, kind, cache, users) in enumerate(
                (
                    (1, "Data", self.l1d, f"{1 << core:x}"),
                    (1, "Instruction", self.l1i, f"{1 << core:x}"),
                    (2, "Unified", self.l2, sharers),
                )
            ):
                about = {
                    "level": str(level),
                    "type": kind,
                    "size": f"{cache.size // 1024}K",
                    "ways_of_associativity": str(cache.ways),
                    "coherency_line_size": str(cache.line),
                    "shared_cpu_map": users,
                }
                files |= {f"{folder}/cache/index{index}/{key}": f"{value}\n" for key, value in about.items()}
        everyone = "0\n" if self.cores == 1 else f"0-{self.cores - 1}\n"
        for name in ("online", "possible", "present"):
            files[f"sys/devices/system/cpu/{name}"] = everyone
        return files

    def _cpuinfo(self, core: int) -> str:
        implementer, variant = self.midr >> 24 & 0xFF, self.midr >> 20 & 0xF
        part, revision = self.midr >> 4 & 0xFFF, self.midr & 0xF
        return (
            f"processor\t: {core}\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: {implementer:#04x}\n"
            f"CPU architecture: 8\nCPU variant\t: {variant:#x}\nCPU part\t: {part:#05x}\nCPU revision\t: {revision}\n"
        )


def load_cpu(text: str) -> Cpu:
    """The core of a bundled name or a TOML file. Raises SpecError with the file, the key and what was expected."""
    return decode(Cpu, *read_toml(find_file(text, "cpus"), "cpu"), toml=True)
