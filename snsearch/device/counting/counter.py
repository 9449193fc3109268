"""Counted devices: the instructions and cache misses of one inference of ncnn's ARM code.

`counted://cortex-a72` means the static runner under qemu, with the caches of a bundled core. Its figures are counts,
not latencies. They are cached by the hash of everything that they depend on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.codec import decode, encode, parse_json
from snsearch.device.counting.cpus import Cpu, load_cpu
from snsearch.device.counting.record import SCHEMA, CountedRecord
from snsearch.device.counting.run import counts_between, run_counted
from snsearch.device.counting.tools import Tools, find_tools
from snsearch.errors import DeviceError, SpecError
from snsearch.files import bundled_names, cache_folder, faults_as, write_whole

if TYPE_CHECKING:
    from snsearch.engine import Artefact

SCHEME = "counted://"
NONCE = "counted"  # of constant length, like all arguments, so every run executes the same code
PREFIX = "model"
TIMEOUT_S = 1800


def cpu_of(url: str) -> Cpu:
    """The core that a URL such as counted://cortex-a72 names. Raises DeviceError."""
    name = url.removeprefix(SCHEME)
    try:
        return load_cpu(name)
    except SpecError as error:
        known = ", ".join(f"{SCHEME}{known}" for known in bundled_names("cpus"))
        raise DeviceError(f"device {url!r}: {error}; expected one of {known}, or a core's TOML file") from None


def profile_name(url: str) -> str:
    """The bundled profile that predicts a counted device's counts, so ranking candidates needs no qemu.

    Raises DeviceError if there is none.
    """
    name, known = f"counted-{cpu_of(url).name}", bundled_names("profiles")
    if name not in known:
        some = ", ".join(f"{SCHEME}{one.removeprefix('counted-')}" for one in known if one.startswith("counted-"))
        raise DeviceError(
            f"device {url!r}: no bundled profile predicts its counts, so it cannot rank candidates; expected one of "
            f"{some}"
        )
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """Counts inferences of models on one core's caches. Made by `open_counter`."""

    cpu: Cpu
    tools: Tools
    runner: Path
    runner_digest: str
    folder: Path  # of earlier counts

    def key(self, artefact: str) -> str:
        """The hash of everything that the counts of a model depend on."""
        parts = (SCHEMA, self.runner_digest, artefact, self.cpu.digest, self.tools.digest)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def count(self, artefact: Artefact, *, again: bool = False) -> CountedRecord:
        """The counts of one warm inference of the model, from the cache unless `again`. Raises DeviceError."""
        key = self.key(artefact.key)
        path = self.folder / f"{key}.json"
        if not again and (known := _read(path, key)) is not None:
            return known
        found = self._counted(artefact, key)
        with faults_as(DeviceError, f'counts cannot be written to "{self.folder}"'):
            write_whole(path, json.dumps(encode(found), indent=1))
        return found

    def _counted(self, artefact: Artefact, key: str) -> CountedRecord:
        from snsearch.engine import TimeJob, read_time

        runs = []
        with tempfile.TemporaryDirectory(prefix="snsearch-model-") as name:
            files = tuple(Path(name, PREFIX + suffix) for suffix in artefact.files)
            for file, content in zip(files, artefact.files.values(), strict=True):
                file.write_bytes(content)
            for repeats in (1, 2):
                job = TimeJob(
                    prefixes=(PREFIX,), rounds=1, repeats=repeats, alarm_s=TIMEOUT_S, warmup_runs=0, warmup_ms=0
                )
                arguments = job.arguments(NONCE)
                counted, printed = run_counted(self.tools, self.cpu, self.runner, arguments, files, TIMEOUT_S)
                answer = read_time(printed, job, NONCE)
                if answer.machine != "aarch64":
                    raise DeviceError(f'the runner "{self.runner.name}" is for {answer.machine}; expected aarch64')
                runs.append(counted)
        return CountedRecord(
            cpu=self.cpu.name,
            counts=counts_between(*runs),
            artefact=artefact.key,
            runner=self.runner_digest,
            ncnn=answer.engine_version,
            qemu=self.tools.qemu_version,
            key=key,
        )


def open_counter(cpu: Cpu, runner: Path | None = None, folder: Path | None = None) -> Counter:
    """A counter for that core.

    Args:
        runner: a static one for aarch64; None: the one built on this host.
        folder: for the plugin and the counts; None: in the cache folder.

    Raises DeviceError that names what is missing and how to get it.
    """
    from snsearch.engine import built_runner

    folder = cache_folder() / "counted" if folder is None else folder
    runner = built_runner("aarch64") if runner is None else runner
    if runner is None:
        raise DeviceError(
            "counted cost needs the aarch64 runner: snsearch device build-runner --machine aarch64 "
            "(some minutes, once)"
        )
    try:
        digest = hashlib.sha256(runner.read_bytes()).hexdigest()
    except OSError as error:
        raise DeviceError(
            f'the aarch64 runner "{runner}" cannot be read ({error.strerror}); build it with '
            "snsearch device build-runner"
        ) from None
    return Counter(cpu=cpu, tools=find_tools(folder), runner=runner, runner_digest=digest, folder=folder)


def _read(path: Path, key: str) -> CountedRecord | None:
    """The record of a file; None if it is missing or damaged, so the model is counted again."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        found = decode(CountedRecord, values, "the counts", error=DeviceError)
    except (OSError, ValueError, DeviceError):
        return None
    return found if found.key == key else None
