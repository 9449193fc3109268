"""What a device is, and what would spoil a measurement on it, before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from snsearch.device.board import Board, hottest, pinned_core
from snsearch.device.jobs import check_output
from snsearch.device.measurements import Host
from snsearch.device.reasons import Reason
from snsearch.device.subjects import Subject
from snsearch.device.verdicts import FREQUENCY, LOAD, PARITY
from snsearch.engine import Core, ProbeAnswer, is_arm

HOT_MC = 60_000
_OF_MEASUREMENTS = ("core_max_khz", "governor", "snsearch")  # fields of a host that a checkup does not print
# Implementer and part of ARM's main id register, from the reference manuals of the cores.
PARTS: dict[tuple[int, int], str] = {
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x51, 0x205): "Kryo (Snapdragon 820)",
    (0x51, 0x211): "Kryo (Snapdragon 820)",
    (0x51, 0x800): "Kryo 2xx Gold (A73)",
    (0x51, 0x801): "Kryo 2xx Silver (A53)",
    (0x51, 0x802): "Kryo 3xx Gold (A75)",
    (0x51, 0x803): "Kryo 3xx Silver (A55)",
    (0x51, 0x804): "Kryo 4xx Gold (A76)",
    (0x51, 0x805): "Kryo 4xx Silver (A55)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Cores of one kind and highest frequency."""

    kind: str  # "Cortex-A72", or what is known about it
    cores: tuple[int, ...]
    min_khz: int | None
    max_khz: int | None
    now_khz: tuple[int | None, ...]
    governor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """A device as it describes itself, and what would spoil a measurement on it."""

    host: Host  # with the core that a measurement would pin to
    clusters: tuple[Cluster, ...]
    probe: ProbeAnswer
    temperature_mc: int | None  # the hottest zone
    parity: float
    spoilers: tuple[Reason, ...]

    @property
    def is_sound(self) -> bool:
        """Whether the engine's output on the device agrees with torch's."""
        return self.parity <= PARITY

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "schema": 1,
            **{key: value for key, value in asdict(self.host).items() if key not in _OF_MEASUREMENTS},
            "is_arm": is_arm(self.host.machine),
            "clusters": [asdict(cluster) for cluster in self.clusters],
            "temperature_mc": self.temperature_mc,
            "loadavg": self.probe.loadavg,
            "simd_gflops": self.probe.simd_gflops,
            "features": self.probe.features,
            "parity": self.parity if math.isfinite(self.parity) else None,
            "emulated_because": self.probe.emulated_because,
            "spoilers": [spoiler.words for spoiler in self.spoilers],
            "parity_limit": PARITY,
            "sound": self.is_sound,
        }


def clusters_of(cores: Sequence[Core]) -> tuple[Cluster, ...]:
    """The cores by kind and highest frequency, the slowest cluster first."""
    alike: dict[tuple[int, int], list[Core]] = {}
    for core in cores:
        alike.setdefault((core.max_khz or 0, core.midr or 0), []).append(core)
    return tuple(
        Cluster(
            kind=core_kind(midr or None),
            cores=tuple(core.id for core in some),
            min_khz=some[0].min_khz,
            max_khz=some[0].max_khz,
            now_khz=tuple(core.cur_khz for core in some),
            governor=some[0].governor,
        )
        for (_, midr), some in sorted(alike.items())
    )


def core_kind(midr: int | None) -> str:
    """A core's name from its main id register; the register's numbers if the name is unknown."""
    if midr is None:
        return "unknown core"
    implementer, part = midr >> 24 & 0xFF, midr >> 4 & 0xFFF
    return PARTS.get((implementer, part), f"implementer {implementer:#x}, part {part:#x}")


def spoilers_of(probe: ProbeAnswer, core: int) -> tuple[Reason, ...]:
    """What would spoil a measurement on that core."""
    found: list[Reason] = []
    if (because := probe.emulated_because) is not None:
        found.append(Reason.of("no latency", text=because))
    if not is_arm(probe.machine):
        found.append(Reason.of("not ARM", text=probe.machine))
    own = next((one for one in probe.cores if one.id == core), None)
    if own is None or own.cur_khz is None:
        found.append(Reason.of("frequency unknown"))
    elif own.max_khz and own.cur_khz < (1 - FREQUENCY) * own.max_khz and own.governor in (None, "performance"):
        found.append(Reason.of("slow now", own.cur_khz / 1e6, own.max_khz / 1e6))
    if own is not None and own.governor not in (None, "performance"):
        found.append(Reason.of("governor", core, text=own.governor or ""))
    heat = hottest(probe)
    if heat is not None and heat > HOT_MC:
        found.append(Reason.of("hot", heat / 1000))
    if probe.loadavg and probe.loadavg[0] > LOAD:
        found.append(Reason.of("busy", probe.loadavg[0]))
    return tuple(found)


def check(board: Board, reference: Subject, core: int | None = None) -> Checkup:
    """The device's description, with the parity of the reference network on it. Raises DeviceError."""
    probe, pinned = board.probe, pinned_core(board, core)
    reference.put(board.transport)
    return Checkup(
        host=board.host(pinned),
        clusters=clusters_of(probe.cores),
        probe=probe,
        temperature_mc=hottest(probe),
        parity=check_output(board, reference, pinned).parity,
        spoilers=spoilers_of(probe, pinned),
    )
