"""The runner in Python: the protocol of `protocol` with the wheel of ncnn or ONNX Runtime.

This one file runs on any Linux board with Python (3.8 or newer), numpy and the engine: it imports nothing of
snsearch. It reports null for what it cannot read, such as ARM's counter.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

RUNNER_SCHEMA = 2
NONCE = r"[A-Za-z0-9_-]{1,64}"
ERROR_EXIT = 3
LOST_EXIT = 4
CPUS = Path("/sys/devices/system/cpu")
THERMAL = Path("/sys/class/thermal")
MARKER = Path("/etc/snsearch-emulated")
# A model that changes only the layout of its input.
ADD_ZERO = "7767517\n2 2\nInput in 0 1 in\nBinaryOp out 1 1 in out 0=0 1=1 2=0.0\n"


class Refusal(Exception):
    """Why the runner cannot do its job: the kind of error, and its detail."""


class Arguments(argparse.ArgumentParser):
    """A parser whose errors are answers."""

    def error(self, message: str) -> NoReturn:
        raise Refusal("usage", message)


def main(arguments: Sequence[str]) -> int:
    """Prints one line, the answer, and returns the exit code."""
    nonce = nonce_of(arguments)
    try:
        asked = parse(arguments)
        answer = probe(asked) if asked.command == "probe" else time_models(asked)
        code = 0
    except (Refusal, MemoryError) as failure:
        error, detail = failure.args if isinstance(failure, Refusal) else ("memory", "out of memory")
        answer, code = {"kind": "error", "error": error, "detail": detail}, ERROR_EXIT
    line = json.dumps({"schema": RUNNER_SCHEMA, "nonce": nonce, **answer}, separators=(",", ":"))
    try:
        print(line, flush=True)
    except OSError:
        os._exit(LOST_EXIT)
    return code


def nonce_of(arguments: Sequence[str]) -> str:
    """The nonce, or "" if there is no valid one. Errors about the other arguments need it too."""
    given = [arguments[index + 1] for index, word in enumerate(arguments[:-1]) if word == "--nonce"]
    return given[-1] if given and re.fullmatch(NONCE, given[-1]) else ""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments. Raises Refusal."""
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("command", choices=("probe", "time"))
    parser.add_argument("--engine", choices=tuple(ENGINES), default="ncnn")
    parser.add_argument("--nonce", required=True)
    defaults = {
        "core": -1,
        "warmup-runs": 5,
        "warmup-ms": 1000,
        "rounds": 0,
        "repeats": 0,
        "alarm-s": 0,
        "input-seed": 0,
    }
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", choices=("float32", "float16"), default="float32")
    parser.add_argument("--outputs", action="store_true")
    parser.add_argument("--lock")
    parser.add_argument("prefixes", nargs="*")
    asked = parser.parse_intermixed_args(arguments)
    if not re.fullmatch(NONCE, asked.nonce):
        raise Refusal("usage", "--nonce is not up to 64 letters and digits")
    if asked.command == "time" and (min(asked.rounds, asked.repeats, asked.alarm_s) < 1 or not asked.prefixes):
        raise Refusal("usage", "time needs --rounds, --repeats, --alarm-s and a model")
    return asked


def common(kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    """The part that all answers share."""
    return {
        "kind": kind,
        "runner": f"{asked.engine}-python",
        "engine": asked.engine,
        "engine_version": engine(asked.engine).__version__,
        "machine": platform.machine(),
        "pid": os.getpid(),
    }


def engine(name: str) -> Any:
    """The engine's module."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Refusal("engine", f"Python's {name} cannot be imported: {error}; pip install {name}") from None


def read_text(path: Path) -> str | None:
    """A file's text, or None if it cannot be read or is empty."""
    try:
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def read_integer(path: Path, base: int = 10) -> int | None:
    """A file's integer, or None."""
    text = read_text(path)
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def cores_allowed() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def current_khz(core: int) -> int | None:
    """The core's frequency now."""
    folder = CPUS / f"cpu{core}" / "cpufreq"
    found = read_integer(folder / "scaling_cur_freq")
    return read_integer(folder / "cpuinfo_cur_freq") if found is None else found


def load_average() -> list[float] | None:
    """The load of the last 1, 5 and 15 minutes."""
    try:
        return list(os.getloadavg())
    except OSError:
        return None


def zones() -> list[Path]:
    """The thermal zones."""
    return sorted(THERMAL.glob("thermal_zone*"))


def processor_zones() -> list[Path]:
    """The zones whose type names the processor; all zones if none does. A battery's temperature is not the core's."""
    words = ("cpu", "soc", "pkg", "bcm2", "tsens", "coretemp")
    ours = [zone for zone in zones() if any(word in (read_text(zone / "type") or "").lower() for word in words)]
    return ours or zones()


def hottest_mc(of: Sequence[Path]) -> int | None:
    """The highest temperature in thousandths of a degree.

    Ignores readings below 1000, whose unit is unknown, and above 150,000, which are not measurements.
    """
    read = [read_integer(zone / "temp") for zone in of]
    return max((mc for mc in read if mc is not None and 1000 <= mc < 150_000), default=None)


def probe(asked: argparse.Namespace) -> dict[str, Any]:
    """The description of the device."""
    answer = common("probe", asked)
    allowed = cores_allowed()
    listed = [int(path.name[3:]) for path in CPUS.glob("cpu*") if path.name[3:].isdigit()]
    cores = []
    for core in sorted({*allowed, *listed}):
        folder = CPUS / f"cpu{core}"
        cores.append(
            {
                "id": core,
                "max_khz": read_integer(folder / "cpufreq" / "cpuinfo_max_freq"),
                "min_khz": read_integer(folder / "cpufreq" / "cpuinfo_min_freq"),
                "cur_khz": current_khz(core),
                "governor": read_text(folder / "cpufreq" / "scaling_governor"),
                "midr": read_integer(folder / "regs" / "identification" / "midr_el1", 0),
                "capacity": read_integer(folder / "cpu_capacity"),
            }
        )
    memory = re.match(r"MemTotal:\s*(\d+) kB", read_text(Path("/proc/meminfo")) or "")
    return {
        **answer,
        "cores": cores,
        "cores_allowed": allowed,
        "memory_kb": int(memory[1]) if memory else None,
        "temperatures": [
            {"zone": zone.name, "type": read_text(zone / "type"), "mc": read_integer(zone / "temp")}
            for zone in zones()
        ],
        "loadavg": load_average(),
        "soc": soc(),
        "counter_hz": None,
        "simd_gflops": simd_gflops(),
        "marker": emulation_marker(),
        "features": ENGINES[asked.engine].features(),
    }


def emulation_marker() -> str | None:
    """A mark that the device is emulated: a file or variable of its owner, or ARM code on an x86 kernel."""
    if MARKER.exists():
        return read_text(MARKER) or ""
    if given := os.environ.get("SNSEARCH_EMULATED"):
        return given
    if platform.machine().startswith(("aarch64", "arm")) and (vendor := cpuinfo("vendor_id")):
        return f"ARM code on a kernel for {vendor}"
    return None


def soc() -> str | None:
    """The board's or processor's name."""
    for path in ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model"):
        if found := read_text(Path(path)):
            return found
    return cpuinfo("model name" if platform.machine() in ("x86_64", "AMD64") else "Hardware")


def cpuinfo(key: str) -> str | None:
    """The first value of a key of /proc/cpuinfo."""
    line = re.search(rf"^{key}\s*: (.*)$", read_text(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return line[1].strip() if line else None


def simd_gflops() -> float:
    """GFLOP/s of a small matrix product, a multiply-add being 2 operations; the best of several."""
    import numpy as np

    side = 192
    left = np.ones((side, side), np.float32)
    best, begin = 0.0, time.perf_counter_ns()
    while time.perf_counter_ns() - begin < 50_000_000:
        start = time.perf_counter_ns()
        left @ left
        best = max(best, 2 * side**3 / max(1, time.perf_counter_ns() - start))
    return best


def model_input(shape: tuple[int, ...], seed: int, index: int = 0) -> Any:
    """Input number `index` of a model: values in [-1, 1), float32, with the same bits in every runner.

    Element i (in C order) hashes i + seed * 0x9E3779B9 + index * 0x85EBCA6B to 32 bits; the upper 24 bits are steps
    of 2^-23 from -1. The hash is C. Wellons' lowbias32 (public domain).
    """
    import numpy as np

    start = (seed * 0x9E3779B9 + index * 0x85EBCA6B) % 2**32
    x = (np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(start)).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    counted = (x >> np.uint32(8)).astype(np.int32) - np.int32(1 << 23)
    return (counted.astype(np.float32) * np.float32(2**-23)).reshape(shape)


class NcnnModel:
    """A model that ncnn loaded, with its inputs."""

    def __init__(self, prefix: str, asked: argparse.Namespace) -> None:
        self.prefix = prefix
        self.samples_ns: list[list[int]] = []
        self._net = self._empty(asked)
        for suffix, load in ((".param", self._net.load_param), (".bin", self._net.load_model)):
            path = prefix + suffix
            # ncnn itself would run half a model if a file is missing.
            if not Path(path).is_file() or load(path):
                raise Refusal("model", f"{path} cannot be loaded")
        self._outputs = list(self._net.output_indexes())
        self._inputs = []
        for number, index in enumerate(self._net.input_indexes()):
            shape = self._net.blobs()[index].shape
            if shape.dims not in (1, 3):
                raise Refusal("model", f"{prefix}.param gives an input no shape of 1 or 3 dimensions")
            sides = (shape.w,) if shape.dims == 1 else (shape.c, shape.h, shape.w)
            self._inputs.append((index, self._as_layers_pass_it(model_input(sides, asked.input_seed, number), asked)))

    @staticmethod
    def _empty(asked: argparse.Namespace) -> Any:
        net = engine("ncnn").Net()
        net.opt.num_threads = 1
        half = asked.precision == "float16"
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
        return net

    def _as_layers_pass_it(self, values: Any, asked: argparse.Namespace) -> Any:
        """The values in the layout that ncnn's layers pass on: channels packed, in the job's precision."""
        import numpy as np

        mat = engine("ncnn").Mat(*values.shape[::-1])
        np.asarray(mat)[...] = values  # the view accounts for padding between channels
        net = self._empty(asked)
        if net.load_param_mem(ADD_ZERO):
            raise Refusal("model", "the model that packs an input cannot be loaded")
        net.load_model_mem(bytes(4))
        extractor = net.create_extractor()
        extractor.input(0, mat)
        code, packed = extractor.extract(1, 1)
        if code:
            raise Refusal("memory", "no memory for an input")
        return packed.clone()

    def run(self) -> int:
        """Runs once, to every output in the layout of its last layer; returns the nanoseconds."""
        made = engine("ncnn").Mat
        start = time.perf_counter_ns()
        extractor = self._net.create_extractor()
        for index, mat in self._inputs:
            extractor.input(index, mat)
        for index in self._outputs:
            self._check(extractor.extract(index, made(), 1))
        return max(1, time.perf_counter_ns() - start)

    def output(self) -> list[float]:
        """The values of every output."""
        import numpy as np

        extractor = self._net.create_extractor()
        for index, mat in self._inputs:
            extractor.input(index, mat)
        values: list[float] = []
        for index in self._outputs:
            code, mat = extractor.extract(index)
            self._check(code)
            values += printed(self.prefix, np.array(mat))
        return values

    def _check(self, code: int) -> None:
        if code:
            raise Refusal("memory" if code == -100 else "model", f"{self.prefix} cannot be run: {code}")

    @staticmethod
    def features() -> list[str]:
        """The vector instructions that ncnn can use here."""
        known = {
            "neon": "cpu_support_arm_neon",
            "vfpv4": "cpu_support_arm_vfpv4",
            "asimdhp": "cpu_support_arm_asimdhp",
            "avx": "cpu_support_x86_avx",
            "avx2": "cpu_support_x86_avx2",
        }
        return [name for name, function in known.items() if getattr(engine("ncnn"), function, int)()]


class OnnxRuntimeModel:
    """A model that ONNX Runtime loaded, with its inputs."""

    def __init__(self, prefix: str, asked: argparse.Namespace) -> None:
        if asked.precision != "float32":
            raise Refusal("usage", f"onnxruntime is run in float32, not in {asked.precision}")
        self.prefix = prefix
        self.samples_ns: list[list[int]] = []
        self._path = f"{prefix}.onnx"
        module = engine("onnxruntime")
        if not Path(self._path).is_file():
            raise Refusal("model", f"{self._path} cannot be loaded")
        options = module.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = module.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no common class
            raise self._refusal("loaded", error) from None
        # Bound inputs and outputs are not copied in a run.
        self._binding = self._session.io_binding()
        for number, given in enumerate(self._session.get_inputs()):
            values = model_input(tuple(given.shape), asked.input_seed, number)
            self._binding.bind_ortvalue_input(given.name, module.OrtValue.ortvalue_from_numpy(values))
        for made in self._session.get_outputs():
            self._binding.bind_output(made.name, "cpu")

    def run(self) -> int:
        """Runs once, to every output; returns the nanoseconds."""
        start = time.perf_counter_ns()
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise self._refusal("run", error) from None
        return max(1, time.perf_counter_ns() - start)

    def output(self) -> list[float]:
        """The values of every output."""
        self.run()
        return [value for read in self._binding.copy_outputs_to_cpu() for value in printed(self.prefix, read)]

    def _refusal(self, what: str, error: Exception) -> Refusal:
        said = str(error).splitlines()[:1]
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        return Refusal("memory" if memory else "model", f"{self._path} cannot be {what}: {''.join(said)[:200]}")

    @staticmethod
    def features() -> list[str]:
        """The vector instructions that the kernel reports and the runtime can use."""
        known = {"asimd": "neon", "neon": "neon", "asimdhp": "asimdhp", "avx": "avx", "avx2": "avx2"}
        told = (cpuinfo("Features") or cpuinfo("flags") or "").split()
        return sorted({known[word] for word in told if word in known})


ENGINES: dict[str, type[NcnnModel] | type[OnnxRuntimeModel]] = {
    "ncnn": NcnnModel,
    "onnxruntime": OnnxRuntimeModel,
}


def printed(prefix: str, values: Any) -> list[float]:
    """The values of an output with nine digits, enough for every float32."""
    import numpy as np

    if not np.isfinite(values).all():
        raise Refusal("model", f"{prefix} outputs a number that is not finite")
    return [float(f"{value:.9g}") for value in values.ravel().tolist()]


def state(asked: argparse.Namespace, of: Sequence[Path], begin_ns: int) -> dict[str, Any]:
    """The current state of the core; without a pinned core its frequency is unknown."""
    import resource

    return {
        "at_ns": time.perf_counter_ns() - begin_ns,
        "khz": current_khz(asked.core) if asked.core >= 0 else None,
        "temperature_mc": hottest_mc(of),
        "preemptions": resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
    }


def lock(path: str) -> None:
    """Locks the file until the process ends. Raises Refusal if another runner holds the lock."""
    import fcntl

    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise Refusal("usage", f"the lock {path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Refusal("busy", f"another runner holds {path}") from None


def time_models(asked: argparse.Namespace) -> dict[str, Any]:
    """Times the models in rounds."""
    begin_ns = time.perf_counter_ns()
    signal.alarm(asked.alarm_s)
    if asked.lock is not None:
        lock(asked.lock)
    allowed = cores_allowed()
    if asked.core >= 0:
        try:
            os.sched_setaffinity(0, {asked.core})
        except (AttributeError, OSError, OverflowError, ValueError) as error:
            raise Refusal("core", f"core {asked.core} cannot be pinned to: {error}") from None
    load = load_average()
    warm = processor_zones()
    models = [ENGINES[asked.engine](prefix, asked) for prefix in asked.prefixes]
    warmed, warm_from = 0, time.perf_counter_ns()
    while warmed < asked.warmup_runs or time.perf_counter_ns() - warm_from < asked.warmup_ms * 1_000_000:
        for model in models:
            model.run()
        warmed += 1
    states = [state(asked, warm, begin_ns)]
    for _ in range(asked.rounds):
        for model in models:
            model.samples_ns.append([model.run() for _ in range(asked.repeats)])
        states.append(state(asked, warm, begin_ns))
    return {
        **common("time", asked),
        "core": asked.core,
        "cores_allowed": allowed,
        "models": [
            {
                "prefix": model.prefix,
                "output": model.output() if asked.outputs else None,
                "samples_ns": model.samples_ns,
            }
            for model in models
        ],
        "states": states,
        "loadavg": load,
        "warmup_runs": warmed,
    }


if __name__ == "__main__":
    # One thread; numpy's library would start more.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    sys.exit(main(sys.argv[1:]))
