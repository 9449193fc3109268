"""A device that is ready to measure: reached, probed, locked for one user, with a checked runner."""

from __future__ import annotations

import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from snsearch import __version__
from snsearch.device.deploy import check_machine, deploy, machine_of, sha256_of
from snsearch.device.measurements import Host
from snsearch.device.programs import last_line
from snsearch.device.registry import Device, connect, device_folder
from snsearch.device.transports.transport import Transport
from snsearch.engine import (
    AnswerError,
    ProbeAnswer,
    RunnerError,
    TimeAnswer,
    TimeJob,
    probe_arguments,
    read_elf,
    read_probe,
    read_time,
)
from snsearch.errors import DeviceError
from snsearch.files import faults_as

LOCK = "runner.lock"  # on the device: one runner at a time
PROBE_SECONDS = 120.0  # emulated boards are slow
_ALARM = 128 + signal.SIGALRM  # the exit code that a shell gives
GRACE_SECONDS = 30.0  # how much later than the runner's own alarm an answer may arrive


class UnansweredError(DeviceError):
    """The runner ended without a complete answer, though the device could be reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """The program that times models on a device."""

    file: Path
    words: tuple[str, ...]  # the command in its folder: ("./runner-…",), or ("python3", "runner-….py", …)
    name: str  # file name on the device
    sha256: str

    @classmethod
    def of(cls, file: Path, *, engine: str = "ncnn", python: str = "python3") -> Runner:
        """The runner in a file: an ELF binary, which has one engine, or a Python script, which gets its name.

        Raises DeviceError if the file cannot be read.
        """
        with faults_as(DeviceError, f"the runner {str(file)!r} cannot be read"):
            sha256 = sha256_of(file)
            is_script = file.suffix == ".py" and read_elf(file) is None
        name = f"runner-{sha256[:16]}{file.suffix if is_script else ''}"
        words = (python, name, "--engine", engine) if is_script else (f"./{name}",)
        return cls(file=file, words=words, name=name, sha256=sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A device whose runner has answered a probe."""

    device: Device
    transport: Transport
    runner: Runner
    probe: ProbeAnswer

    def host(self, core: int) -> Host:
        """The hardware and software of a measurement on that core."""
        known = {one.id: one for one in self.probe.cores}
        return Host(
            device=self.device.name,
            url=self.device.url,
            identity=identity_of(self.probe),
            soc=self.probe.soc,
            machine=self.probe.machine,
            core=core,
            core_max_khz=known[core].max_khz if core in known else None,
            governor=known[core].governor if core in known else None,
            memory_kb=self.probe.memory_kb,
            runner=self.probe.runner,
            runner_sha256=self.runner.sha256,
            engine=self.probe.engine,
            engine_version=self.probe.engine_version,
            snsearch=__version__,
        )


RunnerOf = Callable[[Transport, str], Runner]  # (transport, machine) -> runner


@contextmanager
def open_board(device: Device, runner_of: RunnerOf) -> Iterator[Board]:
    """The device, ready and locked for this process until the block ends.

    `runner_of` chooses the runner once the device's machine is known. Raises DeviceError if the device cannot be
    reached, is in use, or is not the device that was added under this name.
    """
    folder = device_folder(device.name)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(folder / "in-use.lock").acquire(timeout=0)
    except filelock.Timeout:
        raise DeviceError(
            f"{device.name} is in use by another snsearch on this host; wait for it to end, then give the same "
            "command again"
        ) from None
    with lock, closing(connect(device)) as transport:
        machine = machine_of(transport)
        board = make_ready(device, transport, machine, runner_of(transport, machine))
        now = identity_of(board.probe)
        if device.identity and device.identity != now:
            raise DeviceError(
                f"{device.name} is another device now: {now}; it was added as: {device.identity}. Add this one under "
                f"another name, or forget the old one (snsearch device forget {device.name})"
            )
        yield board


def make_ready(device: Device, transport: Transport, machine: str, runner: Runner) -> Board:
    """The device with its runner in place and the answer to a probe. Raises DeviceError."""
    check_machine(runner.file, machine, transport.url)
    deploy(transport, runner.file, runner.name, executable=True)
    probe = probe_on(transport, runner)
    if probe.engine != device.engine:
        raise DeviceError(
            f'{device.name} is measured with {device.engine}, but its runner "{runner.file.name}" runs '
            f"{probe.engine}; choose another --runner, or add the device with --engine {probe.engine}"
        )
    return Board(device=device, transport=transport, runner=runner, probe=probe)


def probe_on(transport: Transport, runner: Runner) -> ProbeAnswer:
    """The device as the runner sees it. Raises DeviceError."""
    nonce = secrets.token_hex(8)
    output = transport.run([*runner.words, *probe_arguments(nonce)], timeout_s=PROBE_SECONDS)
    try:
        return read_probe(output.stdout, nonce)
    except AnswerError as error:
        raise _unanswered(transport, error, output.exit_code, output.stderr) from None


def time_on(transport: Transport, runner: Runner, job: TimeJob) -> TimeAnswer:
    """The runner's answer to a job. Raises DeviceError, also if another runner is at work on the device."""
    nonce = secrets.token_hex(8)
    words = [*runner.words, *job.arguments(nonce)]
    output = transport.run(words, timeout_s=job.alarm_s + GRACE_SECONDS)
    try:
        return read_time(output.stdout, job, nonce)
    except RunnerError as error:
        if error.error == "busy":
            raise DeviceError(
                f"{transport.url}: busy: another user measures there, or a run whose link dropped has not ended yet "
                f"(such a run ends itself after {job.alarm_s} s); give the same command again later"
            ) from None
        raise
    except AnswerError as error:
        raise _unanswered(transport, error, output.exit_code, output.stderr) from None


def _unanswered(transport: Transport, error: AnswerError, exit_code: int, stderr: str) -> UnansweredError:
    how = f"the runner ended with {exit_code}" + (f" and said {last_line(stderr)!r}" if stderr.strip() else "")
    if exit_code in (_ALARM, -signal.SIGALRM):
        how = "its own alarm ended it: the device was slower than its first run"
    return UnansweredError(f"{transport.url}: {error} ({how}); nothing is lost: give the same command again")


def identity_of(probe: ProbeAnswer) -> str:
    """What distinguishes a device: its SoC, machine and cores, and whether it is emulated."""
    kinds = Counter((core.max_khz, core.midr) for core in probe.cores)
    cores = [
        f"{count} cores"
        + (f" {midr:#x}" if midr is not None else "")
        + (f" at {khz / 1e6:.2f} GHz" if khz is not None else "")
        for (khz, midr), count in sorted(kinds.items(), key=str)
    ]
    emulated = ["emulated"] if probe.emulated_because is not None else []
    return ", ".join([probe.soc or "unknown SoC", probe.machine, *cores, *emulated])


def hottest(probe: ProbeAnswer) -> int | None:
    """The highest temperature of all zones, in thousandths of a degree Celsius; None if none is known.

    Zones of batteries and chargers count too: their heat slows a phone down as well. Impossible values do not count.
    """
    return max(
        (zone.mc for zone in probe.temperatures if zone.mc is not None and 0 < zone.mc < 150_000), default=None
    )


def pinned_core(board: Board, wanted: int | None = None) -> int:
    """The core to pin to: the wanted one, else the device's setting, else the last core of the fastest cluster.

    The last, because systems serve interrupts on the first. If no frequency is known, it is the last core allowed.
    Raises DeviceError for a core that the runner may not use.
    """
    allowed = board.probe.cores_allowed
    chosen = board.device.core if wanted is None else wanted
    if chosen is not None:
        if chosen not in allowed:
            listed = ", ".join(map(str, allowed))
            raise DeviceError(f"{board.device.name}: core {chosen} cannot be used; expected one of {listed}")
        return chosen
    if not allowed:
        raise DeviceError(f"{board.device.name}: the runner does not say which cores it may use; build it again")
    speeds = {core.id: (core.max_khz or 0, core.capacity or 0) for core in board.probe.cores}
    return max(allowed, key=lambda core: (*speeds.get(core, (0, 0)), core))
