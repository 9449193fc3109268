"""A runner that runs nothing: answers as the real ones do, with the times and troubles of behaviour.json beside it.

It is started as a program of its own, by a transport. Models are any files; their times are `ns` by
what their first file holds, or by their prefix.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

VERSION = "1.0.20260101"
behaviour = json.loads(Path("behaviour.json").read_text()) if Path("behaviour.json").exists() else {}


SUFFIXES = {"ncnn": (".param", ".bin"), "onnxruntime": (".onnx",)}


def content(prefix):
    """What a model's first file holds."""
    return Path(prefix + SUFFIXES[given.engine][0]).read_text(errors="replace")


def once(name):
    """Whether a trouble that strikes once, at the n-th job of a model, strikes now."""
    wanted = behaviour.get(name)
    if wanted is None:
        return False
    count = Path("jobs").read_text().count("\n") if Path("jobs").exists() else 0
    return count == wanted


def say(kind, nonce, **values):
    common = {
        "schema": 2,
        "nonce": nonce,
        "kind": kind,
        "runner": behaviour.get("runner", "ncnn-cpp"),
        "engine": behaviour.get("engine", given.engine),
        "engine_version": VERSION,
        "machine": os.uname().machine,
        "pid": os.getpid(),
    }
    print(json.dumps({**common, **values}))


def fail(nonce, error, detail=""):
    print(json.dumps({"schema": 2, "nonce": nonce, "kind": "error", "error": error, "detail": detail}))
    sys.exit(3)


def probe(arguments):
    cores = behaviour.get("cores", [[0, 1_800_000], [1, 1_800_000], [2, 2_400_000], [3, 2_400_000]])
    degrees = behaviour.get("temperatures_mc", [40_000])
    count = len(Path("probes").read_text()) if Path("probes").exists() else 0
    Path("probes").write_text("." * (count + 1))
    say(
        "probe",
        arguments.nonce,
        cores=[
            {
                "id": number,
                "max_khz": khz,
                "min_khz": khz and 600_000,
                "cur_khz": khz,
                "governor": khz and "performance",
                "midr": 0x410FD083,
                "capacity": None,
            }
            for number, khz in cores
        ],
        cores_allowed=behaviour.get("cores_allowed", [number for number, _ in cores]),
        memory_kb=4_000_000,
        temperatures=[{"zone": "thermal_zone0", "type": "cpu", "mc": degrees[min(count, len(degrees) - 1)]}],
        loadavg=[0.1, 0.1, 0.1],
        soc=behaviour.get("soc", "Fake Board 4"),
        counter_hz=54_000_000,
        simd_gflops=12.5,
        marker=behaviour.get("marker"),
        features=["asimd"],
    )


def timed(arguments):
    with Path("jobs").open("a") as jobs:
        jobs.write(" ".join(sys.argv[1:]) + "\n")
    count = Path("jobs").read_text().count("\n")
    if arguments.lock:
        lock = os.open(arguments.lock, os.O_RDWR | os.O_CREAT)  # held until this process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fail(arguments.nonce, "busy", arguments.lock)
    for prefix in arguments.prefixes:
        for suffix in SUFFIXES[arguments.engine]:
            if not Path(prefix + suffix).is_file():
                fail(arguments.nonce, "model", f"{prefix}{suffix} is not there")
        if content(prefix) in behaviour.get("broken", []):
            fail(arguments.nonce, "model", f"{prefix} cannot be loaded")
        if content(prefix) in behaviour.get("kills", []):
            os.kill(os.getpid(), signal.SIGKILL)
    if once("garbled_at"):
        print('{"schema": 2, "nonce": "' + arguments.nonce + '", "kind": "ti\x00\x07')
        return
    if once("silent_at"):
        return
    if once("hangs_at"):
        signal.alarm(1)
        time.sleep(600)
    if once("dies_at"):
        os.kill(os.getpid(), signal.SIGKILL)
    rounds, repeats = arguments.rounds, arguments.repeats
    khz = behaviour.get("khz", [2_400_000])
    disturbed = count in range(*behaviour.get("disturbed_jobs", [0, 10**9]))
    slower = behaviour.get("slower_by_round", 0.0) if disturbed else 0.0
    spread = behaviour.get("spread", 0.01) if disturbed else 0.01

    def samples(prefix):
        name = content(prefix)
        known = behaviour.get("ns", {})
        base = known.get(name, known.get(prefix, 1_000_000))
        return [
            [
                round(base * (1 + slower * at) * (1 + spread * (((7 * at + 3 * run) % 5) / 2 - 1)))
                for run in range(repeats)
            ]
            for at in range(rounds)
        ]

    preempted = behaviour.get("preemptions_per_s", 0)
    say(
        "time",
        arguments.nonce,
        core=arguments.core,
        cores_allowed=[0, 1, 2, 3],
        models=[
            {
                "prefix": prefix,
                "output": behaviour.get("output", [0.5, -1.0]) if arguments.outputs else None,
                "samples_ns": samples(prefix),
            }
            for prefix in arguments.prefixes
        ],
        states=[
            {
                "at_ns": at * 1_000_000_000,
                "khz": khz[min(at, len(khz) - 1)],
                "temperature_mc": 40_000 + 100 * at,
                "preemptions": None if preempted is None else preempted * at,
            }
            for at in range(rounds + 1)
        ],
        loadavg=behaviour.get("loadavg", [0.1, 0.1, 0.1]),
        warmup_runs=arguments.warmup_runs,
    )


parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=["probe", "time"])
parser.add_argument("--nonce", required=True)
parser.add_argument("--engine", default="ncnn")
for option in ("core", "warmup-runs", "warmup-ms", "rounds", "repeats", "alarm-s", "input-seed"):
    parser.add_argument(f"--{option}", type=int, default=-1)
parser.add_argument("--precision", default="float32")
parser.add_argument("--outputs", action="store_true")
parser.add_argument("--lock")
parser.add_argument("prefixes", nargs="*")
given = parser.parse_intermixed_args()
(probe if given.kind == "probe" else timed)(given)
