"""What counted cost says: milliseconds by published figures, what ranks published networks, a model of the counts.

    python -m benchmarks.counted            writes results/counted.json, snsearch/latency/profiles/counted-*.toml and
                                            the milliseconds of snsearch/device/counting/cores/*.toml
    python -m benchmarks.counted --check    only says whether the shipped files are what a fit gives

It reads results/counted.csv, which `benchmarks.counting_arm` makes; a test does the latter.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from benchmarks.counted_devices import (
    PARTS,
    Parts,
    device_json,
    devices,
    groups_json,
    parts_of,
    rows,
    score_json,
)
from benchmarks.counted_networks import BUDGETS, Network, networks_for, space_networks
from benchmarks.latency_profiles import PROFILES
from benchmarks.published.forms import COUNTED_CACHES, COUNTED_FORMS
from snsearch.device.counting.counts import Weighing
from snsearch.files import bundled_folder
from snsearch.latency.calibration import Calibration, calibrate, profile_of
from snsearch.latency.fitting import Sample
from snsearch.latency.profile import Profile, load_profile
from snsearch.latency.terms import ops_terms, predict_ms
from snsearch.latency.validation import HeldOut, family_fold
from snsearch.toml_files import toml_of

RESULTS = Path(__file__).parent / "results" / "counted.json"
CPU_FILES = bundled_folder("cpus")
WEIGHED_BY = {"cortex-a72": "ncnn-raspberry-pi-4", "cortex-a53": "ncnn-raspberry-pi-zero-2"}
LIBRARY = "ncnn 1.0.20261020"


def _sample(cpu: str, network: Network, value: float) -> Sample:
    """A counted quantity as a sample; published networks tell the rates that the space has no operators for."""
    return Sample(
        name=network.name,
        family=network.family or network.set,
        role="judged" if network.set == "space" else "known",
        macs=network.macs,
        pixels=network.ops[0].height * network.ops[0].width,
        ms=value,
        terms=ops_terms(network.ops),
        far_terms=tuple((size, ops_terms(network.ops, size)) for size in COUNTED_CACHES),
    )


def _samples(cpu: str, sets: Sequence[str], value: Callable[[Parts], float]) -> list[Sample]:
    return [
        _sample(cpu, network, value(parts_of(rows()[cpu, network.set, network.name])))
        for network in networks_for(cpu)
        if network.set in sets
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceModel:
    """A quantity predicted from a network's terms: how far held-out networks are missed."""

    calibration: Calibration
    check: HeldOut  # another budget and resolution, which neither form nor rates have seen

    def to_json(self) -> dict[str, Any]:
        kept = self.calibration.networks
        budgets: dict[str, list[int]] = {}
        for index, name in enumerate(kept.names):
            budgets.setdefault(_budget_of()[name], []).append(index)
        within = [
            float(spearmanr([kept.measured_ms[i] for i in at], [kept.predicted_ms[i] for i in at])[0])
            for at in budgets.values()
        ]
        return {
            "form": self.calibration.form.name,
            "networks": len(kept.names),
            "by_budget": score_json(kept),
            "spearman_within_a_budget": {"least": round(min(within), 3), "mean": round(sum(within) / len(within), 3)},
            "check": score_json(self.check),
            "log_log_flops": score_json(self.calibration.flops),
        }


@cache
def _budget_of() -> Mapping[str, str]:
    return {network.name: network.family for network in space_networks()}


def space_model(cpu: str, value: Callable[[Parts], float]) -> SpaceModel:
    """The model of a quantity on a core, fitted on the space's networks and the published ones.

    A budget's networks are held out together, as a search is for a budget that was not counted.
    """
    samples = _samples(cpu, ("space", "ncnn"), value)
    calibration = calibrate(COUNTED_FORMS, {cpu: samples}, family_fold)[cpu]
    unseen = _samples(cpu, ("check",), value)
    return SpaceModel(
        calibration=calibration,
        check=HeldOut(
            names=tuple(sample.name for sample in unseen),
            measured_ms=tuple(sample.ms for sample in unseen),
            predicted_ms=tuple(predict_ms(calibration.rates, sample.under(calibration.form)) for sample in unseen),
        ),
    )


@cache
def models() -> dict[str, dict[str, SpaceModel]]:
    """By core, the model of each of PARTS and of the milliseconds that the device which stands for it gives them."""
    by_name = {device.name: device for device in devices()}
    found: dict[str, dict[str, SpaceModel]] = {}
    for cpu, name in WEIGHED_BY.items():
        if not all((cpu, n.set, n.name) in rows() for n in networks_for(cpu)) or name not in by_name:
            continue  # the counting has not come to its end
        weights = by_name[name].weights()
        found[cpu] = {part: space_model(cpu, lambda parts, i=index: parts[i]) for index, part in enumerate(PARTS)}  # type: ignore[misc]
        found[cpu]["ms"] = space_model(cpu, weights.predict)
    return found


@cache
def profiles() -> dict[str, Profile]:
    """The profile of each core whose model is fitted, by name: milliseconds by way of counts."""
    by_name = {device.name: device for device in devices()}
    found = {}
    for cpu, fitted in models().items():
        device = by_name[WEIGHED_BY[cpu]]
        shipped = load_profile(device.name)
        against = device.counted()
        model = fitted["ms"].calibration
        both = math.hypot(math.log(model.families.interval_factor()), math.log(against.interval_factor()))
        name = f"counted-{cpu}"
        profile = profile_of(
            model,
            name=name,
            device=shipped.device,
            core=f"{cpu.title()}, counted",
            library=LIBRARY,
            threads=1,
            precision="float32",
            figures="counted",
            source=f"{LIBRARY} for aarch64 under qemu 7.2, weighed by {len(device.samples)} published figures, which "
            f"it misses by {against.errors().mape * 100:.0f} % where kept out",
            note="kept_out is against counted milliseconds of the ShuffleNet space: instructions and misses of both "
            "cache levels, weighed by ncnn's benchmark list. The interval holds the errors of model and weights.",
            fitted_on=(
                f"{len(model.networks.names)} networks of the ShuffleNet space, {BUDGETS[0]} to {BUDGETS[-1]} MFLOPs",
                *(n.name for n in networks_for(cpu) if n.set == "ncnn"),
            ),
        )
        found[name] = replace(profile, interval_factor=float(f"{math.exp(both):.6g}"))
    return found


@cache
def weighings() -> dict[str, Weighing]:
    """By core, what its counts are worth in milliseconds of the first device that stands for it."""
    by_name = {device.name: device for device in devices()}
    found = {}
    for cpu, name in WEIGHED_BY.items():
        if name not in by_name:
            continue
        device = by_name[name]
        kept = device.counted()
        numbers = (*device.weights().ms, kept.errors().mape, kept.interval_factor())
        instructions, l1_misses, l2_misses, mape, factor = (float(f"{number:.6g}") for number in numbers)
        found[cpu] = Weighing(
            device=load_profile(name).device,
            source="ncnn's benchmark list, one thread",
            instructions=instructions,
            l1_misses=l1_misses,
            l2_misses=l2_misses,
            networks=len(device.samples),
            mape=mape,
            interval_factor=factor,
        )
    return found


def cpu_file(cpu: str) -> str:
    """The core's file with its weighing."""
    text = (CPU_FILES / f"{cpu}.toml").read_text(encoding="utf-8").partition("\n[milliseconds]")[0]
    return (
        text.rstrip("\n")
        + "\n\n"
        + "[milliseconds]  # a million of each\n"
        + toml_of(weighings()[cpu]).partition("\n")[2]
    )


def _print_tables(document: Mapping[str, Any]) -> None:
    print("| device | counts of | networks | counted | terms | log-log FLOPs | pixel scaling | ShuffleNet held out |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, row in document["devices"].items():
        cells = [
            f"{row[way]['mape']:.1%}, {row[way]['spearman']:.2f}"
            for way in ("counted", "terms", "log_log_flops", "pixel_scaling")
        ]
        alone = row.get("shufflenet_kept_out")
        last = f"{alone['counted']:+.0%}; terms {alone['terms']:+.0%}" if alone else ""
        print(f"| {name} | {row['counts_of']} | {row['networks']} | {' | '.join(cells)} | {last} |")
    print()
    for entry in document["groups"]:
        print(entry)
    print()
    print("| core | quantity | budget held out | check | ranks within a budget, mean (least) | log-log FLOPs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cpu, fitted in document["space"].items():
        for part, row in fitted.items():
            cells = [f"{row[way]['mape']:.1%}, {row[way]['spearman']:.2f}" for way in ("by_budget", "check")]
            within = row["spearman_within_a_budget"]
            flops = f"{row['log_log_flops']['mape']:.1%}, {row['log_log_flops']['spearman']:.2f}"
            print(
                f"| {cpu} | {part} | {' | '.join(cells)} | {within['mean']:.2f} ({within['least']:.2f}) | {flops} |"
            )


def files() -> dict[Path, str]:
    """Every shipped file that holds a fit, as it should be."""
    return {
        **{PROFILES / f"{name}.toml": profile.to_toml() for name, profile in profiles().items()},
        **{CPU_FILES / f"{cpu}.toml": cpu_file(cpu) for cpu in weighings()},
    }


def main() -> None:
    if "--check" in sys.argv[1:]:
        stale = [str(path.name) for path, text in files().items() if path.read_text(encoding="utf-8") != text]
        sys.exit(f"not what a fit gives: {', '.join(stale)}" if stale else 0)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    document = {
        "library": LIBRARY,
        "devices": {device.name: device_json(device) for device in devices()},
        "groups": groups_json(),
        "space": {cpu: {part: model.to_json() for part, model in fitted.items()} for cpu, fitted in models().items()},
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _print_tables(document)


if __name__ == "__main__":
    main()
