"""Counted cost against published milliseconds: weights a device, and what each way of predicting misses and ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks.counted_networks import Row, networks_for, read_rows
from benchmarks.latency_profiles import (
    ALONE,
    ncnn_calibrations,
    snapdragon_810_calibration,
    snapdragon_820_calibration,
)
from benchmarks.published.samples import NCNN_DEVICES, ncnn, snapdragon_810, snapdragon_820
from snsearch.latency.calibration import Calibration
from snsearch.latency.fitting import Sample
from snsearch.latency.validation import HeldOut, hold_out_one, log_log_flops, network_fold, pixel_scaling

PARTS = ("instructions", "l1_misses", "l2_misses")

# The core whose counts stand for a device: its own, or the nearest of those that are described.
COUNTED_ON = {
    "snapdragon-810": "cortex-a57",
    "snapdragon-820": "cortex-a72",
    "ncnn-raspberry-pi-4": "cortex-a72",
    "ncnn-rk3399-a72": "cortex-a72",
    "ncnn-khadas-vim3": "cortex-a72",
    "ncnn-kirin-970": "cortex-a72",
    "ncnn-redmi-note-7": "cortex-a72",
    "ncnn-nexus-6p": "cortex-a72",
    "ncnn-jetson-nano": "cortex-a72",
    "ncnn-raspberry-pi-zero-2": "cortex-a53",
    "ncnn-rk3399-a53": "cortex-a53",
    "ncnn-station-m2": "cortex-a53",
    "ncnn-oneplus-7t": "cortex-a76",
    "ncnn-rock-5b": "cortex-a76",
    "ncnn-jetson-agx-orin": "cortex-a76",
}

# Devices whose figures make milliseconds of a core's counts, in the table of groups.
STANDS_FOR = {
    "cortex-a72": ("ncnn-raspberry-pi-4", "ncnn-khadas-vim3", "snapdragon-820"),
    "cortex-a53": ("ncnn-raspberry-pi-zero-2",),
    "cortex-a57": ("snapdragon-810",),
    "cortex-a76": ("ncnn-rock-5b",),
}

Parts = tuple[float, float, float]  # PARTS, in millions


@cache
def rows() -> Mapping[tuple[str, str, str], Row]:
    """All counts, by core, set and name."""
    return {(row.cpu, row.set, row.name): row for row in read_rows()}


def parts_of(row: Row) -> Parts:
    """Instructions, first-level misses (data and code) and second-level misses, in millions."""
    return row.instructions / 1e6, (row.l1d_misses + row.l1i_misses) / 1e6, row.l2_misses / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Milliseconds a million of each of PARTS, never negative."""

    ms: Parts

    def predict(self, parts: Parts) -> float:
        return sum(weight * part for weight, part in zip(self.ms, parts, strict=True))


def fit_weights(known: Sequence[tuple[Parts, float]]) -> Weights:
    """The non-negative weights with the least sum of squared relative errors."""
    table = np.array([[part / ms for part in parts] for parts, ms in known])
    solved, _ = nnls(table, np.ones(len(known)))
    return Weights(ms=(float(solved[0]), float(solved[1]), float(solved[2])))


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device's networks, their counts, and what each way of predicting says of those that it had not seen."""

    name: str
    cpu: str
    samples: tuple[Sample, ...]
    parts: Mapping[str, Parts]
    terms: HeldOut | None

    def counted(self) -> HeldOut:
        """By counted cost."""

        def predictor(samples: Sequence[Sample]) -> Callable[[Sample], float]:
            weights = fit_weights([(self.parts[s.name], s.ms) for s in samples])
            return lambda sample: weights.predict(self.parts[sample.name])

        return hold_out_one(self.samples, predictor, network_fold)

    def weights(self) -> Weights:
        """Fitted on all."""
        return fit_weights([(self.parts[s.name], s.ms) for s in self.samples])


def _set_of(device: str) -> str:
    return "ncnn" if device.startswith("ncnn-") else device


def _published(device: str) -> tuple[Sequence[Sample], Calibration]:
    if device == "snapdragon-810":
        return snapdragon_810(), snapdragon_810_calibration()
    if device == "snapdragon-820":
        return snapdragon_820(), snapdragon_820_calibration()
    [key] = [key for key, name in NCNN_DEVICES.items() if name == device]
    return ncnn(*key), ncnn_calibrations()[device]


@cache
def devices() -> tuple[Device, ...]:
    """Every device whose networks were counted. What is always fitted on elsewhere is left out here."""
    found = []
    for name, cpu in COUNTED_ON.items():
        samples, calibration = _published(name)
        counted = {
            sample.name: parts_of(row)
            for sample in samples
            if sample.role == "judged" and (row := rows().get((cpu, _set_of(name), sample.name))) is not None
        }
        listed = [network.name for network in networks_for(cpu) if network.set == _set_of(name)]
        if any((cpu, _set_of(name), network) not in rows() for network in listed):
            continue  # the counting has not come to its end
        kept = tuple(sample for sample in samples if sample.name in counted)
        found.append(Device(name=name, cpu=cpu, samples=kept, parts=counted, terms=calibration.networks))
    return tuple(found)


def score_json(kept: HeldOut, without: Sequence[str] = ()) -> dict[str, Any]:
    score = kept.without(without).errors()
    return {"mape": round(score.mape, 4), "spearman": round(score.spearman, 3)}


def _only(kept: HeldOut, names: Sequence[str]) -> HeldOut:
    """The same networks in the same order, for comparisons of like with like."""
    at = [kept.names.index(name) for name in names]
    return replace(
        kept,
        names=tuple(names),
        measured_ms=tuple(kept.measured_ms[i] for i in at),
        predicted_ms=tuple(kept.predicted_ms[i] for i in at),
    )


def device_json(device: Device) -> dict[str, Any]:
    """Every way's errors on the same networks, held out alike; ncnn's ShuffleNet, which terms cannot tell, apart."""
    names = tuple(sample.name for sample in device.samples)
    counted = device.counted()
    assert device.terms is not None
    terms = _only(device.terms, names)
    without = ALONE if device.name.startswith("ncnn-") else ()
    found: dict[str, Any] = {
        "counts_of": device.cpu,
        "networks": len([name for name in names if name not in without]),
        "ms_per_million": {part: round(ms, 4) for part, ms in zip(PARTS, device.weights().ms, strict=True)},
        "counted": score_json(counted, without),
        "terms": score_json(terms, without),
        "log_log_flops": score_json(hold_out_one(device.samples, log_log_flops, network_fold), without),
        "pixel_scaling": score_json(hold_out_one(device.samples, pixel_scaling, network_fold), without),
        "interval_factor": round(counted.interval_factor(), 3),
    }
    errors = {
        name: round(predicted / measured - 1, 3)
        for name, measured, predicted in zip(names, counted.measured_ms, counted.predicted_ms, strict=True)
    }
    found["errors"] = errors
    if without:
        [alone] = without
        found["shufflenet_kept_out"] = {
            "counted": errors[alone],
            "terms": round(terms.predicted_ms[names.index(alone)] / terms.measured_ms[names.index(alone)] - 1, 3),
        }
    return found


def groups_json() -> list[dict[str, Any]]:
    """ShuffleNet 1x at equal MACs, by groups and core; milliseconds and interval where a device stands for it."""
    by_name = {device.name: device for device in devices()}
    found = []
    for (cpu, kind, name), row in rows().items():
        if kind != "groups":
            continue
        entry: dict[str, Any] = {
            "cpu": cpu,
            "groups": int(name.partition("g=")[2]),
            "mmacs": round(row.macs / 1e6, 1),
            "m_instructions": round(row.instructions / 1e6, 2),
            "m_l1d_misses": round(row.l1d_misses / 1e6, 3),
            "m_l2_misses": round(row.l2_misses / 1e6, 3),
        }
        for device in STANDS_FOR.get(cpu, ()):
            if device in by_name:
                factor = by_name[device].counted().interval_factor()
                ms = by_name[device].weights().predict(parts_of(row))
                entry[device] = [round(ms, 1), round(ms / factor, 1), round(ms * factor, 1)]
        found.append(entry)
    return sorted(found, key=lambda entry: (entry["cpu"], entry["groups"]))
