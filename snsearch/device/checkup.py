"""What a device is, and what would spoil a measurement on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from snsearch.codec import Stored
from snsearch.device.board import Board, hottest, identity_of, pinned_core
from snsearch.device.measurements import Parity
from snsearch.device.measuring import INPUT_SEED, Subject, parity_job
from snsearch.device.verdicts import FREQUENCY, LOAD, PARITY
from snsearch.engine import Core, ProbeAnswer, is_arm

HOT_MC = 60_000
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
    """Cores that are alike."""

    kind: str  # "Cortex-A72", or what is known of it
    cores: tuple[int, ...]
    min_khz: int | None
    max_khz: int | None
    now_khz: tuple[int | None, ...]
    governor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """A device as it says of itself, and what stands against measuring on it."""

    STORED: ClassVar = Stored(
        schema=1, derived={"parity_limit": lambda checkup: PARITY, "sound": attrgetter("is_sound")}
    )

    device: str
    url: str
    soc: str | None
    machine: str
    is_arm: bool
    clusters: tuple[Cluster, ...]
    core: int  # that would be pinned to
    memory_kb: int | None
    temperature_mc: int | None  # the hottest zone
    loadavg: tuple[float, ...] | None
    runner: str
    runner_sha256: str
    engine: str
    engine_version: str
    simd_gflops: float
    features: tuple[str, ...]
    parity: Parity
    identity: str
    emulated_because: str | None
    spoilers: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether the engine computes there what torch does."""
        return self.parity <= PARITY


def clusters_of(cores: Sequence[Core]) -> tuple[Cluster, ...]:
    """The cores by kind and highest frequency, the slowest cluster first; what is unknown stays unknown."""
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
    """A core's name by its main id register; its numbers where the name is not known."""
    if midr is None:
        return "unknown core"
    implementer, part = midr >> 24 & 0xFF, midr >> 4 & 0xFFF
    return PARTS.get((implementer, part), f"implementer {implementer:#x}, part {part:#x}")


def spoilers_of(probe: ProbeAnswer, core: int) -> tuple[str, ...]:
    """What would spoil a measurement on that core, each with what to do."""
    found: list[str] = []
    if (because := probe.emulated_because()) is not None:
        found.append(f"emulated: {because}; parity is checked, and no time counts as a latency")
    if not is_arm(probe.machine):
        found.append(f"not ARM: latencies are of this {probe.machine} host, and say nothing of phones")
    own = next((one for one in probe.cores if one.id == core), None)
    if own is None or own.cur_khz is None:
        found.append("the core's frequency is unknown: throttling shows in the reference network alone")
    elif own.max_khz and own.cur_khz < (1 - FREQUENCY) * own.max_khz and own.governor in (None, "performance"):
        found.append(f"the core runs at {own.cur_khz / 1e6:.2f} GHz of its {own.max_khz / 1e6:.2f}: let it cool")
    if own is not None and own.governor not in (None, "performance"):
        found.append(
            f"governor {own.governor}: the frequency may move; as root, write performance to "
            f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"
        )
    heat = hottest(probe)
    if heat is not None and heat > HOT_MC:
        found.append(f"{heat / 1000:.0f} °C: let it cool, or expect it to slow down")
    if probe.loadavg and probe.loadavg[0] > LOAD:
        found.append(f"load average {probe.loadavg[0]:.1f}: end what else runs there")
    return tuple(found)


def check(board: Board, reference: Subject, core: int | None = None) -> Checkup:
    """The device's facts, with the reference network's output compared to torch's on it. Raises DeviceError."""
    probe, pinned = board.probe, pinned_core(board, core)
    reference.put(board.transport)
    output = board.time(parity_job(reference, pinned)).models[0].output
    assert output is not None, "read_time asks for what the job does"
    return Checkup(
        device=board.device.name,
        url=board.device.url,
        soc=probe.soc,
        machine=probe.machine,
        is_arm=is_arm(probe.machine),
        clusters=clusters_of(probe.cores),
        core=pinned,
        memory_kb=probe.memory_kb,
        temperature_mc=hottest(probe),
        loadavg=probe.loadavg,
        runner=probe.runner,
        runner_sha256=board.runner.sha256,
        engine=probe.engine,
        engine_version=probe.engine_version,
        simd_gflops=probe.simd_gflops,
        features=probe.features,
        parity=reference.deviation(output, INPUT_SEED),
        identity=identity_of(probe),
        emulated_because=board.emulated_because,
        spoilers=spoilers_of(probe, pinned),
    )
