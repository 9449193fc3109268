"""The counting plugin: its caches against another implementation, and ARM code with known counts."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from snsearch.device.counting import tools as tools_module
from snsearch.device.counting.cpus import Cache, load_cpu
from snsearch.device.counting.run import counts_between, run_counted
from snsearch.device.counting.tools import PLUGIN_SOURCE, Tools, build_plugin, find_tools, plugin_api, requirements
from snsearch.errors import DeviceError, SpecError
from snsearch.files import bundled_folder, bundled_names

TESTS = Path(__file__).parents[1]
MISSING = [need.name for need in requirements() if need.found is None]
needs_qemu = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return find_tools(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin with a driver that stands in for qemu."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    built = tmp_path_factory.mktemp("driver") / "driver"
    command = [compiler, "-O1", f"-I{PLUGIN_SOURCE.parent}", "-o", str(built), str(TESTS / "plugin_driver.c")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return built


def build_program(folder: Path, lines: int) -> Path:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("aarch64-linux-gnu-gcc is not installed")
    built = folder / f"reads-{lines}"
    source = str(TESTS / "counted_program.S")
    subprocess.run(
        [compiler, "-nostdlib", "-static", f"-DLINES={lines}", "-o", str(built), source],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return built


class Model:
    """A set-associative cache with least-recently-used replacement, as simple as possible."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.sets: list[OrderedDict[int, None]] = [
            OrderedDict() for _ in range(cache.size // cache.ways // cache.line)
        ]
        self.accesses = self.misses = 0

    def hits(self, address: int) -> bool:
        line = address // self.cache.line
        ways = self.sets[line % len(self.sets)]
        self.accesses += 1
        if hit := line in ways:
            ways.move_to_end(line)
        else:
            self.misses += 1
            ways[line] = None
            if len(ways) > self.cache.ways:
                ways.popitem(last=False)
        return hit


def expected(trace: list[tuple[str, int, int]], l1d: Cache, l1i: Cache, l2: Cache) -> dict[str, int]:
    data, code, shared = Model(l1d), Model(l1i), Model(l2)
    instructions, loads, stores, fetched = 0, 0, 0, -1

    def touch(first: Model, begin: int, length: int) -> None:
        nonlocal fetched
        for line in range(begin // first.cache.line, (begin + length - 1) // first.cache.line + 1):
            if first is code:
                if line == fetched:
                    continue
                fetched = line
            if not first.hits(line * first.cache.line):
                shared.hits(line * first.cache.line)

    for kind, address, number in trace:
        if kind == "b":
            instructions += number
            touch(code, address, 4 * number)
        else:
            loads, stores = loads + (kind == "r"), stores + (kind == "w")
            touch(data, address, 1 << number)
    return {
        "schema": 1,
        "instructions": instructions,
        "loads": loads,
        "stores": stores,
        "l1d_accesses": data.accesses,
        "l1d_misses": data.misses,
        "l1i_accesses": code.accesses,
        "l1i_misses": code.misses,
        "l2_accesses": shared.accesses,
        "l2_misses": shared.misses,
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("l1d", "l1i", "l2"),
    [
        (Cache(size=512, ways=2, line=32), Cache(size=768, ways=3, line=32), Cache(size=4096, ways=4, line=32)),
        (Cache(size=256, ways=1, line=64), Cache(size=256, ways=4, line=64), Cache(size=2048, ways=16, line=128)),
    ],
)
def test_caches_miss_as_another_implementation_says(
    driver: Path, tmp_path: Path, l1d: Cache, l1i: Cache, l2: Cache
) -> None:
    chance = random.Random(7)
    trace = [("b", 65536, 1)]
    for _ in range(30_000):
        kind = chance.choice("rrwb")
        at = chance.randrange(2048) if chance.random() < 0.7 else chance.randrange(1 << 16)
        if kind == "b":
            trace.append((kind, 65536 + at * 4, chance.randint(1, 40)))
        else:
            trace.append((kind, at, chance.randint(0, 4)))
    out = tmp_path / "counts.json"
    subprocess.run(
        [str(driver), f"l1d={l1d}", f"l1i={l1i}", f"l2={l2}", f"out={out}"],
        input="".join(f"{kind} {address} {number}\n" for kind, address, number in trace),
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(out.read_text()) == expected(trace, l1d, l1i, l2)


@pytest.mark.parametrize(
    "argument", ["l1d=1000:2:64", "l1d=32768:0:64", "l1d=32768:2", "l1d=32768:2:64x", "l3=1:1:1", "out="]
)
def test_the_plugin_refuses_an_invalid_cache(driver: Path, argument: str) -> None:
    done = subprocess.run([str(driver), argument], input="", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f'"{argument}" is not understood' in done.stderr


@needs_qemu
@pytest.mark.parametrize(
    ("lines", "l1d_misses", "l2_misses"),
    [
        (256, 0, 0),  # 16 KiB fit in the first level
        (1024, 1024, 0),  # 64 KiB do not fit: the least recently used line is always the next one
        (32768, 32768, 32768),  # 2 MiB fit in neither level
    ],
)
def test_a_program_of_known_reads_is_counted_to_the_instruction(
    tools: Tools, tmp_path: Path, lines: int, l1d_misses: int, l2_misses: int
) -> None:
    program = build_program(tmp_path, lines)
    runs = [run_counted(tools, load_cpu("cortex-a72"), program, [repeats], [], 60)[0] for repeats in ("1", "2")]
    counts = counts_between(*runs)
    assert (counts.instructions, counts.loads, counts.stores) == (3 * lines + 4, lines + 1, 0)
    assert counts.l1d_accesses == lines + 1
    assert counts.l1i_misses == 0
    # The reads visit every set, and may evict the line that holds the memory's address.
    assert l1d_misses <= counts.l1d_misses == counts.l2_accesses <= l1d_misses + 1
    assert l2_misses <= counts.l2_misses <= l2_misses + 1


@needs_qemu
def test_counts_are_the_same_in_every_run(tools: Tools, tmp_path: Path) -> None:
    program, cpu = build_program(tmp_path, 1024), load_cpu("cortex-a53")
    first = run_counted(tools, cpu, program, ["3"], [], 60)
    assert run_counted(tools, cpu, program, ["3"], [], 60) == first
    assert first[0]["instructions"] == 3 + 3 * (3 * 1024 + 4) + 3


@needs_qemu
def test_a_program_that_fails_is_an_error_that_says_how_it_ended(tools: Tools, tmp_path: Path) -> None:
    script = tmp_path / "not-arm"
    script.write_bytes(Path(sys.executable).resolve().read_bytes()[:4096])
    script.chmod(0o755)
    with pytest.raises(DeviceError, match="cortex-a72: the program ended with"):
        run_counted(tools, load_cpu("cortex-a72"), script, [], [], 60)


@needs_qemu
def test_a_program_that_does_not_repeat_is_refused(tools: Tools, tmp_path: Path) -> None:
    program = build_program(tmp_path, 16)
    with pytest.raises(DeviceError, match="a second repeat executed nothing"):
        counts_between(*(run_counted(tools, load_cpu("cortex-a72"), program, ["1"], [], 60)[0] for _ in range(2)))


def test_the_terminal_s_interrupt_does_not_reach_what_is_counted(tmp_path: Path) -> None:
    stand_in = tmp_path / "setarch"
    stand_in.write_text("#!/bin/sh\nread -r line < /proc/$$/stat\necho $line\necho '{\"threads\":1}' > counts.json\n")
    stand_in.chmod(0o755)
    tools = Tools(qemu=tmp_path, qemu_version="7.2.22", setarch=stand_in, plugin=tmp_path)
    _, printed = run_counted(tools, load_cpu("cortex-a72"), stand_in, [], [], 60)
    session = int(printed.split()[5])
    assert session != os.getsid(0)


def test_what_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"no qemu-aarch64 with plugins \(on Debian 12, apt-get.*no a C compiler"):
        find_tools(tmp_path)


def test_a_qemu_without_plugins_is_told_from_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "qemu-aarch64"
    stand_in.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "qemu-aarch64 version 7.2.22"\nexit 0\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DeviceError, match="was built without plugins"):
        find_tools(tmp_path)


def test_other_systems_than_linux_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_module.sys, "platform", "darwin")
    with pytest.raises(DeviceError, match="runs on Linux only"):
        find_tools(tmp_path)


def test_the_plugin_is_built_once_and_again_for_another_interface(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    first = build_plugin(tmp_path, Path(compiler), 1)
    made = first.stat().st_mtime_ns
    assert build_plugin(tmp_path, Path(compiler), 1) == first
    assert first.stat().st_mtime_ns == made
    assert build_plugin(tmp_path, Path(compiler), 2) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_a_compiler_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    stand_in = tmp_path / "cc"
    stand_in.write_text("#!/bin/sh\necho 'stdio.h: no such file' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    with pytest.raises(DeviceError, match=r"says: stdio.h: no such file; expected a C compiler with its headers"):
        build_plugin(tmp_path / "cache", stand_in, 1)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("version", "api"), [("6.2.0", 1), ("7.2.22", 1), ("8.2.2", 1), ("9.0.0", 2), ("10.0.3", 2)])
def test_the_interface_follows_the_version_of_qemu(version: str, api: int) -> None:
    assert plugin_api(version) == api


def test_shipped_cores_are_read_and_have_the_caches_of_their_manuals() -> None:
    cpus = {name: load_cpu(name) for name in bundled_names("cpus")}
    assert set(cpus) == {"cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76"}
    assert cpus["cortex-a72"].l1d == Cache(size=32768, ways=2, line=64)
    assert cpus["cortex-a72"].l1i == Cache(size=49152, ways=3, line=64)
    assert cpus["cortex-a53"].l2 == Cache(size=524288, ways=16, line=64)
    assert len({cpu.digest for cpu in cpus.values()}) == 4


def test_the_system_names_the_caches_and_the_core() -> None:
    files = load_cpu("cortex-a72").system_files()
    assert files["sys/devices/system/cpu/cpu3/cache/index2/size"] == "1024K\n"
    assert files["sys/devices/system/cpu/cpu3/cache/index2/shared_cpu_map"] == "f\n"
    assert files["sys/devices/system/cpu/cpu3/cache/index0/shared_cpu_map"] == "8\n"
    assert files["proc/cpuinfo"].count("CPU part\t: 0xd08") == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ways = 2", "ways = 3", "expected lines of 16 to 4096 bytes and sets, both powers of two"),
        ('size = "32KiB"', 'size = "much"', "'much' is not a quantity"),
        ("cores = 4", "cores = 0", "how many cores share the second level"),
        ("midr = 0x410fd083", 'midr = "a72"', "the main id register"),
        ("[l2]", "[l3]", 'unknown key "l3"'),
    ],
)
def test_an_invalid_core_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((bundled_folder("cpus") / "cortex-a72.toml").read_text().replace(old, new))
    with pytest.raises(SpecError, match=message):
        load_cpu(str(path))
