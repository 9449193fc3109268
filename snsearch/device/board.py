"""A device made ready to measure: reached, its runner in place and checked, probed, and held for one user."""

from __future__ import annotations

import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

LOCK = "runner.lock"  # on the device: one runner at a time
PROBE_SECONDS = 120.0  # an emulated board takes its time
_ALARM = 128 + signal.SIGALRM  # as a shell tells it
GRACE_SECONDS = 30.0  # that an answer may come later than the runner's own alarm


class UnansweredError(DeviceError):
    """A runner that ended without a complete answer, though the device was reached until then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """The program that times models on a device."""

    file: Path
    words: tuple[str, ...]  # how it is started in its folder: ("./runner-…",), or ("python3", "runner-….py", …)
    name: str  # of its file on the device
    sha256: str

    @classmethod
    def of(cls, file: Path, *, engine: str = "ncnn", python: str = "python3") -> Runner:
        """The runner in a file, an ELF binary or a script of Python. Raises DeviceError where there is none.

        A script is told the engine that it is to run; a binary has one.
        """
        try:
            sha256 = sha256_of(file)
            is_script = file.suffix == ".py" and read_elf(file) is None
        except OSError as error:
            raise DeviceError(f"the runner {str(file)!r} cannot be read: {error.strerror or error}") from None
        name = f"runner-{sha256[:16]}{file.suffix if is_script else ''}"
        words = (python, name, "--engine", engine) if is_script else (f"./{name}",)
        return cls(file=file, words=words, name=name, sha256=sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A device with a runner that answered."""

    device: Device
    transport: Transport
    runner: Runner
    probe: ProbeAnswer

    @property
    def emulated_because(self) -> str | None:
        """Why times on it are no latencies; None of a real device."""
        return self.probe.emulated_because()

    def time(self, job: TimeJob) -> TimeAnswer:
        """The answer to a job. Raises DeviceError, also where another runner is at work on the device."""
        return time_on(self.transport, self.runner, job)

    def temperature_mc(self) -> int | None:
        """The hottest zone now, in thousandths of a degree; None where no zone tells."""
        return hottest(probe_on(self.transport, self.runner))

    def host(self, core: int) -> Host:
        """What a measurement on that core ran on and with."""
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


RunnerOf = Callable[[Transport, str], Runner]  # of a device's way and machine


@contextmanager
def open_board(device: Device, runner_of: RunnerOf) -> Iterator[Board]:
    """The device, ready and held for this process until the block ends.

    `runner_of` chooses the runner once the device's machine is known. Raises DeviceError where the device cannot be
    reached, is another one than was added, or is in use.
    """
    folder = device_folder(device.name)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / "in-use.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise DeviceError(
            f"{device.name} is in use by another snsearch on this host; wait for it to end, then give the same "
            "command again"
        ) from None
    try:
        transport = connect(device)
        try:
            machine = machine_of(transport)
            board = make_ready(device, transport, machine, runner_of(transport, machine))
            check_identity(device, board.probe)
            yield board
        finally:
            transport.close()
    finally:
        lock.release()


def make_ready(device: Device, transport: Transport, machine: str, runner: Runner) -> Board:
    """The device with the runner in place and its answer to a probe. Raises DeviceError."""
    check_machine(runner.file, machine, transport.url)
    deploy(transport, runner.file, runner.name, executable=True)
    probe = probe_on(transport, runner)
    if probe.engine != device.engine:
        raise DeviceError(
            f'{device.name} is measured with {device.engine}, and its runner "{runner.file.name}" runs '
            f"{probe.engine}; name another --runner, or add the device with --engine {probe.engine}"
        )
    return Board(device=device, transport=transport, runner=runner, probe=probe)


def probe_on(transport: Transport, runner: Runner) -> ProbeAnswer:
    """What the runner sees of the device. Raises DeviceError."""
    nonce = secrets.token_hex(8)
    output = transport.run([*runner.words, *probe_arguments(nonce)], timeout_s=PROBE_SECONDS)
    try:
        return read_probe(output.stdout, nonce)
    except AnswerError as error:
        raise _unanswered(transport, error, output.exit_code, output.stderr) from None


def time_on(transport: Transport, runner: Runner, job: TimeJob) -> TimeAnswer:
    """The runner's answer to a job. Raises DeviceError."""
    nonce = secrets.token_hex(8)
    words = [*runner.words, *job.arguments(nonce)]
    output = transport.run(words, timeout_s=job.alarm_s + GRACE_SECONDS)
    try:
        return read_time(output.stdout, job, nonce)
    except RunnerError as error:
        if error.error == "busy":
            raise DeviceError(
                f"{transport.url}: busy: another user measures there, or a run whose link dropped has not "
                f"ended yet (one like this ends by itself after {job.alarm_s} s); give the same "
                "command again later"
            ) from None
        raise
    except AnswerError as error:
        raise _unanswered(transport, error, output.exit_code, output.stderr) from None


def _unanswered(transport: Transport, error: AnswerError, exit_code: int, stderr: str) -> UnansweredError:
    how = f"the runner ended with {exit_code}" + (f" and said {last_line(stderr)!r}" if stderr.strip() else "")
    if exit_code in (_ALARM, -signal.SIGALRM):
        how = "its own alarm ended it: the device was slower than its first run let expect"
    return UnansweredError(f"{transport.url}: {error} ({how}); nothing is lost: give the same command again")


def identity_of(probe: ProbeAnswer) -> str:
    """What tells one device from another: its SoC, machine and cores, and whether it is emulated."""
    kinds = Counter((core.max_khz, core.midr) for core in probe.cores)
    cores = [
        f"{count} cores"
        + (f" {midr:#x}" if midr is not None else "")
        + (f" at {khz / 1e6:.2f} GHz" if khz is not None else "")
        for (khz, midr), count in sorted(kinds.items(), key=str)
    ]
    emulated = ["emulated"] if probe.emulated_because() is not None else []
    return ", ".join([probe.soc or "unknown SoC", probe.machine, *cores, *emulated])


def check_identity(device: Device, probe: ProbeAnswer) -> None:
    """Raises DeviceError where the device is another one than was added under its name."""
    now = identity_of(probe)
    if device.identity and device.identity != now:
        raise DeviceError(
            f"{device.name} is another device now: {now}; it was added as: {device.identity}. "
            f"Add this one by another name, or forget the old one (snsearch device forget {device.name})"
        )


def hottest(probe: ProbeAnswer) -> int | None:
    """The highest temperature of all zones, in thousandths of a degree; None where none tells.

    Zones of batteries and chargers count too: they slow a phone down as well. What reads as no temperature does not.
    """
    return max(
        (zone.mc for zone in probe.temperatures if zone.mc is not None and 0 < zone.mc < 150_000), default=None
    )


def pinned_core(board: Board, wanted: int | None = None) -> int:
    """The core to pin to: the wanted one, the device's own setting, or the last one of the fastest cluster.

    The last, since systems serve interrupts on the first. Where no frequency is known, that is the last core allowed.
    Raises DeviceError for a core that the runner may not use.
    """
    allowed = board.probe.cores_allowed
    chosen = board.device.core if wanted is None else wanted
    if chosen is not None:
        if chosen not in allowed:
            listed = ", ".join(map(str, allowed))
            raise DeviceError(f"{board.device.name}: core {chosen} cannot be used; those that can: {listed}")
        return chosen
    known = {core.id: core for core in board.probe.cores}

    def speed(core: int) -> tuple[int, int, int]:
        found = known.get(core)
        return (found.max_khz or 0, found.capacity or 0, core) if found else (0, 0, core)

    if not allowed:
        raise DeviceError(f"{board.device.name}: the runner does not say which cores it may use")
    return max(allowed, key=speed)
