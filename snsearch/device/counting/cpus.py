"""The cores whose caches are counted: one TOML file per core, bundled or the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from snsearch.device.counting.weighing import Weighing, read_weighing
from snsearch.errors import SpecError
from snsearch.toml_reader import Table, as_integer, as_text, find_file, read_table
from snsearch.units import parse_bytes

CLOCK_KHZ = 1_500_000  # clock that the emulated system reports; counts do not depend on it


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """A set-associative cache that replaces its least recently used line."""

    size: int  # bytes
    ways: int
    line: int  # bytes

    def __str__(self) -> str:
        return f"{self.size}:{self.ways}:{self.line}"

    @property
    def words(self) -> str:
        """The cache for readers: "32 KiB, 2 ways, lines of 64 bytes"."""
        return f"{self.size // 1024} KiB, {self.ways} ways, lines of {self.line} bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """A core: its caches, and the register values that the emulated system reports."""

    name: str
    title: str
    qemu_cpu: str  # qemu's name of a core with the same instructions
    midr: int  # ARM's main id register, by which libraries recognise a core
    cores: int  # cores that share the second level
    source: str
    l1d: Cache
    l1i: Cache
    l2: Cache
    weighing: Weighing | None  # None if no device with this core has published figures

    @property
    def digest(self) -> str:
        """A hash of everything that counts depend on."""
        told = (self.qemu_cpu, self.midr, self.cores, str(self.l1d), str(self.l1i), str(self.l2))
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The core as JSON values, which from_json reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cpu:
        """The core of to_json's values. Raises KeyError or TypeError for other values."""
        known = {field.name: values[field.name] for field in fields(cls)}
        caches = {name: Cache(**known[name]) for name in ("l1d", "l1i", "l2")}
        weighing = None if known["weighing"] is None else Weighing(**known["weighing"])
        return cls(**{**known, **caches, "weighing": weighing})

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


def _bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return parse_bytes(value)


def _register(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 32:
        raise TypeError
    return value


def _cores(value: Any) -> int:
    if as_integer(value) > 32:
        raise TypeError
    return as_integer(value)


def _cache(table: Table) -> Cache:
    cache = Cache(
        size=table.get("size", _bytes, 'bytes such as 32768 or "32KiB"'),
        ways=table.get("ways", as_integer, "a positive integer"),
        line=table.get("line", as_integer, "the bytes of a line, such as 64"),
    )
    table.done()
    sets, rest = divmod(cache.size, cache.ways * cache.line)
    if rest or sets & (sets - 1) or not sets or cache.line & (cache.line - 1) or not 16 <= cache.line <= 4096:
        raise SpecError(
            f"{table.where}: {cache.size} bytes in {cache.ways} ways with lines of {cache.line} bytes; "
            "expected lines of 16 to 4096 bytes and sets, both powers of two"
        )
    return cache


def read_cpu(path: Path) -> Cpu:
    """The core of a TOML file. Raises SpecError with the file, the key and what was expected."""
    table = read_table(path, "cpu")
    cpu = Cpu(
        name=table.get("name", as_text, "a name"),
        title=table.get("title", as_text, "the core and where it is found"),
        qemu_cpu=table.get("qemu_cpu", as_text, "a name that `qemu-aarch64 -cpu help` lists"),
        midr=table.get("midr", _register, "the main id register, such as 0x410fd083"),
        cores=table.get("cores", _cores, "how many cores share the second level, 1 to 32"),
        source=table.get("source", as_text, "where the sizes come from"),
        l1d=_cache(table.table("l1d")),
        l1i=_cache(table.table("l1i")),
        l2=_cache(table.table("l2")),
        weighing=read_weighing(table.table("milliseconds")) if table.has("milliseconds") else None,
    )
    table.done()
    return cpu


def load_cpu(text: str) -> Cpu:
    """The core of a bundled name or a TOML file. Raises SpecError."""
    return read_cpu(find_file(text, "cpus"))
