"""Profiles this host, measures networks that no fit has seen, and writes how far they are missed.

    python -m benchmarks.own_device                       measures here, in about ten minutes of a quiet machine
    python -m benchmarks.own_device --engine onnxruntime  the same with the other engine
    python -m benchmarks.own_device --home DIR            keeps the measurements there, and goes on from what it finds

The networks of the profile and those that judge it are measured in one session in a shuffled order, through the path
of `snsearch device profile` and `snsearch measure`. Writes results/own_device_ENGINE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from snsearch.codec import encode
from snsearch.device.conditions import Conditions
from snsearch.device.log import known_of, measure_once
from snsearch.device.measurements import Measurement
from snsearch.device.profile_fit import EFFORT, OwnProfile, make_profile, refuse_emulated, subject_of
from snsearch.device.profile_plan import Plan, drawn_networks, plan_of
from snsearch.device.profile_samples import OWN_FORMS, network_sample, steady_ms
from snsearch.device.registry import Device
from snsearch.device.runners import runners_of
from snsearch.device.subjects import network_subject, reference_subject
from snsearch.engine.engines import ENGINES, engine_of
from snsearch.files import HOME_VARIABLE
from snsearch.latency.fitting import Sample, fit
from snsearch.latency.terms import predict_ms
from snsearch.latency.validation import HeldOut, log_log_flops, pixel_scaling
from snsearch.network.arch import Architecture
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space

RESULTS = Path(__file__).parent / "results"
SPACE = "shufflenet-v1"
DRAWN = 80  # networks that judge, drawn as the profile's are, with another seed
JUDGING_SEED = 2
NEAR = 0.1


def judging_networks(plan: Plan) -> tuple[Architecture, ...]:
    """Networks that the plan has not: drawn ones, and every group count at 0.5, 1 and 2 times the paper's size."""
    space = load_space(SPACE)
    found = {arch.key: arch for arch in drawn_networks(space, DRAWN, JUDGING_SEED)}
    for groups in space.groups:
        for scale in (0.5, 1.0, 2.0):
            arch = scaled(space, Design(groups=groups, scale=scale), mflops_budget(1)).architecture
            found[arch.key] = arch
    for arch in plan.networks:
        found.pop(arch.key, None)
    return tuple(found.values())


def measured_here(
    device: Device, plan: Plan, judging: tuple[Architecture, ...]
) -> tuple[dict[str, Measurement], list[str]]:
    """The measurement of every judging network, by key, and what failed; the plan's are kept in the device's log."""
    engine = engine_of(device.engine)
    subjects = [network_subject(arch, engine) for arch in judging]
    artefacts = {subject.artefact for subject in subjects}
    subjects += [subject_of(thing, engine) for thing in plan.things]
    random.Random(0).shuffle(subjects)
    found: dict[str, Measurement] = {}
    failed: list[str] = []
    outcomes = measure_once(
        device,
        subjects,
        reference_subject(engine),
        runners_of(device),
        conditions=Conditions(effort=EFFORT),
        on_board=refuse_emulated,
        say=lambda text: print(f"  {text}", file=sys.stderr),
    )
    for done, one in enumerate(outcomes, start=1):
        if done % 10 == 0:
            print(f"{done} of {len(subjects)}", file=sys.stderr)
        if not isinstance(one, Measurement):
            failed.append(f"{one.subject.name}: {one.reason}")
        elif one.latency_ms is None:
            failed.append(f"{one.subject}: {one.why}")
        elif one.artefact in artefacts:
            found[one.subject] = one
    return found, failed


def report(
    own: OwnProfile, judging: tuple[Architecture, ...], found: dict[str, Measurement], steady: dict[str, float]
) -> dict[str, Any]:
    """What the judging networks say of the profile, beside the two baselines on the profile's own networks.

    `steady` are the latencies by artefact over the reference's in the same rounds, as the profile's own figures are;
    what was undisturbed is also judged as it was measured.
    """
    archs = [arch for arch in judging if arch.key in found]
    samples = [network_sample(arch, steady[found[arch.key].artefact]) for arch in archs]
    measured = [network_sample(arch, found[arch.key].latency_ms or 0.0) for arch in archs]
    calm = [index for index, arch in enumerate(archs) if found[arch.key].verdict == "ok"]
    ways = {
        "profile": [own.profile.predict(arch).ms for arch in archs],
        "log_log_flops": list(map(log_log_flops(own.samples), samples)),
        "pixel_scaling": list(map(pixel_scaling(own.samples), samples)),
    }
    document: dict[str, Any] = {"networks": len(archs)}
    for name, predicted in ways.items():
        document[name] = _scores(samples, predicted)
    document["as_measured"] = _scores(measured, ways["profile"])
    document["undisturbed"] = {
        "networks": len(calm),
        **_scores([measured[index] for index in calm], [ways["profile"][index] for index in calm]),
    }
    started = time.perf_counter()
    for arch in archs:
        own.profile.predict(arch)
    document["microseconds_a_prediction"] = round((time.perf_counter() - started) / len(archs) * 1e6)
    inside = 0
    errors = {}
    for arch, sample, ms in zip(archs, samples, ways["profile"], strict=True):
        latency = own.profile.predict(arch)
        inside += latency.low_ms <= sample.ms <= latency.high_ms
        errors[arch.key] = {"measured_ms": round(sample.ms, 4), "error": round(ms / sample.ms - 1, 4)}
    document["inside_the_interval"] = round(inside / len(archs), 3)
    document["alternatives"] = alternatives(own, samples)
    document["errors"] = errors
    return document


def alternatives(own: OwnProfile, samples: list[Sample]) -> dict[str, Any]:
    """What the judging networks say of each form alone, and of the chosen one on a part of the figures."""
    form = own.calibration.form
    parts = {
        **{one.name: (one, own.samples) for one in OWN_FORMS},
        "the chosen form, without pieces": (form, [one for one in own.samples if one.family != "pieces"]),
        "the chosen form, on pieces alone": (form, [one for one in own.samples if one.role == "piece"]),
    }
    found = {}
    for name, (one, known) in parts.items():
        rates = fit(one, known)
        found[name] = _scores(samples, [predict_ms(rates, sample.under(one)) for sample in samples])
    return found


def table(judged: dict[str, Any]) -> str:
    """The table of docs/evidence.md."""
    rows = {
        "**the profile**": judged["profile"],
        "the same, as measured": judged["as_measured"],
        f"the same, as measured, the {judged['undisturbed']['networks']} undisturbed": judged["undisturbed"],
        **judged["alternatives"],
        "log-log FLOPs": judged["log_log_flops"],
        "pixel scaling": judged["pixel_scaling"],
    }
    lines = ["| prediction | MAPE | Spearman | within 10 % | 95 % err less than |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {row['mape']:.1%} | {row['spearman']:.3f} | {row['within_10_percent']:.0%} "
        f"| {row['p95_error']:.0%} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def _scores(samples: list[Sample], predicted: list[float]) -> dict[str, float]:
    kept = HeldOut(
        names=tuple(sample.name for sample in samples),
        measured_ms=tuple(sample.ms for sample in samples),
        predicted_ms=tuple(predicted),
    )
    errors = np.abs(np.array(kept.predicted_ms) / np.array(kept.measured_ms) - 1)
    score = kept.errors()
    return {
        "mape": round(score.mape, 4),
        "spearman": round(score.spearman, 4),
        "within_10_percent": round(float(np.mean(errors <= NEAR)), 4),
        "p95_error": round(float(np.quantile(errors, 0.95)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="where measurements are kept  [default: a folder that goes away]")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="ncnn")
    parser.add_argument("--out", type=Path, help="default: results/own_device_ENGINE.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ[HOME_VARIABLE] = str(asked.home or temporary)
        started = time.monotonic()
        device = Device(name="this-host", url="local", engine=asked.engine)
        plan = plan_of(load_space(SPACE))
        judging = judging_networks(plan)
        found, failed = measured_here(device, plan, judging)
        own = make_profile(device, plan, runners_of(device))
        one = next(iter(found.values()))
        subjects = [subject_of(thing, engine_of(device.engine)) for thing in plan.things]
        steady = steady_ms([*known_of(device, subjects, Conditions()).values(), *found.values()])
        judged = report(own, judging, found, steady)
        document: dict[str, Any] = {
            "host": one.host.words,
            "library": own.profile.library,
            "seconds": round(time.monotonic() - started),
            "planned": {"networks": len(plan.networks), "others": len(plan.others), "pieces": len(plan.pieces)},
            "verdicts": dict(Counter(one.verdict for one in found.values())),
            "failed": failed,
            "profile": encode(own.profile) | {"fitted_on": len(own.profile.fitted_on)},
            "judged": judged,
        }
    out = asked.out or RESULTS / f"own_device_{asked.engine}.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(judged))
    print(f"inside the 95 % interval: {judged['inside_the_interval']:.0%} of {judged['networks']}")
    print(f"within the profile: {json.dumps(document['profile']['kept_out'])}")
    print(f"{document['seconds']} s, {document['verdicts']}, failed: {len(failed)}")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
