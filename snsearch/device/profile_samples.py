"""Measurements of a profile's plan -> samples that a calibration fits, and the fit itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from snsearch.device.measurements import Measurement
from snsearch.device.profile_plan import Piece, Plan
from snsearch.device.samples import statistics_of
from snsearch.latency import (
    FORMS,
    KERNEL_FORMS,
    Calibration,
    Sample,
    block_kernel_terms,
    calibrate,
    network_kernel_terms,
    network_terms,
    ops_terms,
)
from snsearch.network import Architecture, Op, count_macs, op_macs
from snsearch.units import format_stages

FOLDS = 8
PIECE_WEIGHT = 0.1  # of an operator or a block, where a network has 1: alone, it finds its data in the cache
# Plain quantities compete too: for a library unlike ncnn, fewer rates may have a smaller error.
OWN_FORMS = (*(form for form in FORMS if form.name in ("packing", "activations, inner loops")), *KERNEL_FORMS)
Thing = Architecture | Piece


def network_sample(arch: Architecture, ms: float, *, judged: bool = True) -> Sample:
    """A network's latency with its terms; a judged one is held out of one fold's fit and predicted by it."""
    return Sample(
        name=arch.key,
        family=f"g={format_stages(arch.groups)}",
        role="judged" if judged else "piece",
        macs=count_macs(arch),
        pixels=arch.resolution[0] * arch.resolution[1],
        ms=ms,
        terms=network_terms(arch),
        kernel_terms=network_kernel_terms(arch),
    )


def piece_sample(name: str, ops: Sequence[Op], ms: float) -> Sample:
    """The latency of an operator or a block that was measured alone, with its terms."""
    return Sample(
        name=name,
        family="pieces",
        role="piece",
        macs=sum(map(op_macs, ops)),
        pixels=ops[0].height * ops[0].width,
        ms=ms,
        terms=ops_terms(ops),
        kernel_terms=block_kernel_terms(ops),
        weight=PIECE_WEIGHT,
    )


def steady_ms(kept: Sequence[Measurement]) -> dict[str, float]:
    """Latencies by artefact: each over the reference's in the same rounds, times the reference's overall median.

    What slows a device for minutes slows both alike; without this it would look like a property of the networks
    measured during that time.
    """
    references = {one.artefact: statistics_of(one.reference_ns).median_ms for one in kept if one.reference_ns}
    usual = median(references.values()) if references else 1.0
    found = {}
    for one in kept:
        assert one.latency_ms is not None, "refused measurements are left out"
        found[one.artefact] = one.latency_ms * usual / references.get(one.artefact, usual)
    return found


def samples_of(plan: Plan, things: Mapping[str, Thing], measured: Mapping[str, Measurement]) -> tuple[Sample, ...]:
    """The samples of the measured things, both by artefact, in the plan's order."""
    judged = {arch.key for arch in plan.networks}
    steady = steady_ms(list(measured.values()))
    return tuple(
        piece_sample(thing.name, thing.ops, steady[artefact])
        if isinstance(thing, Piece)
        else network_sample(thing, steady[artefact], judged=thing.key in judged)
        for artefact, thing in things.items()
        if artefact in measured
    )


def fit_own(samples: Sequence[Sample]) -> Calibration:
    """The rates of the best form, and its errors on networks held out by folds and by group counts."""
    judged = [sample.name for sample in samples if sample.role == "judged"]
    folds = {name: str(index % FOLDS) for index, name in enumerate(judged)}
    return calibrate(OWN_FORMS, {"own": samples}, fold_of=lambda sample: folds[sample.name])["own"]
