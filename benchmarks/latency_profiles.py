"""Fits the shipped latency profiles on the published figures of benchmarks/published, and writes held-out errors.

    python -m benchmarks.latency_profiles            writes snsearch/latency/profiles/*.toml and results/latency.json
    python -m benchmarks.latency_profiles --check    only says whether the shipped files are what a fit gives

A test does the latter.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.published.forms import RICH_FORMS, TRANSFORM_FORMS
from benchmarks.published.samples import (
    NCNN_DEVICES,
    ncnn,
    note_10_blocks,
    raspberry_pi_4_blocks,
    rows_of,
    snapdragon_810,
    snapdragon_820,
)
from snsearch.latency.calibration import Calibration, calibrate, profile_of
from snsearch.latency.fitting import Sample
from snsearch.latency.forms import FORMS, SPATIAL_STRENGTH, STRENGTHS, drawn_to
from snsearch.latency.profile import Profile
from snsearch.latency.terms import Rates, Terms, network_terms
from snsearch.latency.validation import family_fold, fixed_form, hold_out_one
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space

PROFILES = Path(__file__).parent.parent / "snsearch" / "latency" / "profiles"
RESULTS = Path(__file__).parent / "results" / "latency.json"

NCNN_MAPE = 0.10  # what is shipped of ncnn's devices: an error of held-out networks up to this ...
NCNN_SPEARMAN = 0.95  # ... and at least this
SE_SLOWER = (
    0.325  # ShuffleNets with SE take 25 to 40 % longer on mobile devices (arXiv:1707.01083, section 4.3): the middle
)
ALONE = ("shufflenet",)  # ncnn's only network with grouped 1x1 convolutions: held out, nothing tells their rate


@cache
def snapdragon_810_calibration() -> Calibration:
    return calibrate(FORMS, {"snapdragon-810": snapdragon_810()})["snapdragon-810"]


@cache
def ncnn_ratios() -> Rates:
    """What ncnn's rates are to its rate of dense 1x1 MACs: the geometric mean over all devices of its list.

    Rounded to two decimals, which keeps terms that share a rate in one column. Without a price of SE: ncnn's networks
    with SE have activations by exponentials too, which no term counts.
    """
    rates = [calibration.rates for calibration in ncnn_calibrations().values()]
    ratios = {
        term: round(math.exp(fmean(math.log(one[term] / one["dense_pointwise_macs"]) for one in rates)), 2)
        for term in rates[0]
    }
    return {term: ratio for term, ratio in ratios.items() if term != "gate_bytes"}


def se_rate(rates: Rates) -> float:
    """The rate of gates, beside these, at which SE makes ShuffleNets of g=3 as much slower as their paper says.

    The mean over 0.5x, 1x and 2x at 224x224, the sizes of the paper's Table 8.
    """
    space, at = load_space("shufflenet-v1"), mflops_budget(1)

    def terms(scale: float, se: bool) -> Terms:
        return network_terms(scaled(space, Design(groups=3, scale=scale, se=se), at).architecture)

    def cost(terms: Terms) -> float:
        return sum(rate * terms[term] for term, rate in rates.items() if term != "gate_bytes")

    found = []
    for scale in (0.5, 1.0, 2.0):
        plain, gated = terms(scale, se=False), terms(scale, se=True)
        found.append(((1 + SE_SLOWER) * cost(plain) - cost(gated)) / gated["gate_bytes"])
    return fmean(found)


@cache
def snapdragon_820_calibration() -> Calibration:
    forms = (
        *drawn_to(ncnn_ratios(), STRENGTHS, SPATIAL_STRENGTH, label="ncnn's devices"),
        *drawn_to(snapdragon_810_calibration().rates, STRENGTHS, SPATIAL_STRENGTH, label="the Snapdragon 810"),
    )
    fitted = calibrate(forms, {"snapdragon-820": snapdragon_820()})["snapdragon-820"]
    # No figure has SE, so that nothing that is held out depends on its price.
    return replace(fitted, rates={**fitted.rates, "gate_bytes": se_rate(fitted.rates)})


@cache
def ncnn_calibrations() -> dict[str, Calibration]:
    devices = {name: ncnn(*key) for key, name in NCNN_DEVICES.items()}
    return calibrate((*FORMS, *TRANSFORM_FORMS), devices)


@cache
def block_calibrations() -> dict[str, Calibration]:
    """Blocks of other searches' tables, by shape; the families are the shapes."""
    return {
        name: calibrate((*FORMS, *RICH_FORMS), {name: samples}, fold_of=family_fold)[name]
        for name, samples in (
            ("raspberry-pi-4-blocks", raspberry_pi_4_blocks()),
            ("note-10-blocks", note_10_blocks()),
        )
    }


def _pieces_and_networks(samples: Sequence[Sample]) -> tuple[str, ...]:
    names = [s.name for s in samples if s.family != "pieces"]
    pieces = len(samples) - len(names)
    return (*([f"{pieces} microbenchmarks (tables 1, 2 and 4)"] if pieces else []), *names)


@cache
def profiles() -> dict[str, Profile]:
    """Every profile that is shipped, by name."""
    found = {
        "snapdragon-810": profile_of(
            snapdragon_810_calibration(),
            name="snapdragon-810",
            device="Snapdragon 810",
            core="Cortex-A57",
            library="the authors' own, not named",
            threads=1,
            precision="float32",
            figures="published",
            source="arXiv:1807.11164",
            note="Tables 1, 2, 4 and 8; the one network with SE is fitted on and never kept out.",
            fitted_on=_pieces_and_networks(snapdragon_810()),
        ),
        "snapdragon-820": profile_of(
            snapdragon_820_calibration(),
            name="snapdragon-820",
            device="Snapdragon 820",
            core="Kryo",
            library="the authors' own, not named",
            threads=1,
            precision="float32",
            figures="published",
            source="arXiv:1707.01083",
            note="Table 8, seven figures: the ratios of rates are drawn to the mean of ncnn's devices, which missed "
            "kept-out networks by less than the Snapdragon 810's; AlexNet is fitted on and never kept out. The "
            "price of SE is the paper's remark that it makes ShuffleNets 25 to 40 % slower on mobile devices.",
            fitted_on=_pieces_and_networks(snapdragon_820()),
        ),
    }
    about = {(row["device"], row["core"]): row for row in rows_of("ncnn-devices.csv")}
    for key, name in NCNN_DEVICES.items():
        calibration = ncnn_calibrations()[name]
        score = calibration.networks.without(ALONE).errors()
        if score.mape > NCNN_MAPE or score.spearman < NCNN_SPEARMAN:
            continue
        row = about[key]
        found[name] = profile_of(
            calibration,
            name=name,
            device=row["device"] if row["soc"] in row["device"] else f"{row['device']} ({row['soc']})",
            core=f"{row['core']}, {row['core_ghz']} GHz",
            library="ncnn",
            threads=1,
            precision="float16 where the library chooses it" if row["precision"] == "fp16_possible" else "float32",
            figures="published",
            source="ncnn's benchmark list",
            note="The form is chosen over all devices of the list at once; ShuffleNet's own error is not in "
            "kept_out: without it nothing tells the rate of grouped 1x1 convolutions.",
            fitted_on=_pieces_and_networks(ncnn(*key)),
            without=ALONE,
        )
    return found


def _json(calibration: Calibration, without: Sequence[str]) -> dict[str, Any]:
    ways = {
        "by_network": calibration.networks,
        "by_family": calibration.families,
        "log_log_flops": calibration.flops,
        "pixel_scaling": calibration.pixels,
    }
    judged = {name: way.without(without) for name, way in ways.items()}
    return {
        "form": calibration.form.name,
        "networks": len(judged["by_network"].names),
        **{
            name: {"mape": round(errors.mape, 4), "spearman": round(errors.spearman, 3)}
            for name, errors in ((name, way.errors()) for name, way in judged.items())
        },
        "interval_factor": round(calibration.families.interval_factor(), 3),
        "errors": {
            name: {
                "measured_ms": round(measured, 2),
                "by_network": round(one / measured - 1, 3),
                "by_family": round(other / measured - 1, 3),
            }
            for name, measured, one, other in zip(
                calibration.networks.names,
                calibration.networks.measured_ms,
                calibration.networks.predicted_ms,
                calibration.families.predicted_ms,
                strict=True,
            )
        },
    }


def _pieces_held_out() -> float:
    """Mean error on the Snapdragon 810's microbenchmarks, each held out in its turn, by the form that is shipped."""
    samples = [replace(s, role="judged") if s.role == "piece" else replace(s, role="known") for s in snapdragon_810()]
    form = snapdragon_810_calibration().form
    return hold_out_one(samples, fixed_form(form), lambda sample: sample.name).errors().mape


def main() -> None:
    if "--check" in sys.argv[1:]:
        stale = [
            name
            for name, profile in profiles().items()
            if (PROFILES / f"{name}.toml").read_text(encoding="utf-8") != profile.to_toml()
        ]
        sys.exit(f"not what a fit gives: {', '.join(stale)}" if stale else 0)
    PROFILES.mkdir(exist_ok=True)
    for name, profile in profiles().items():
        (PROFILES / f"{name}.toml").write_text(profile.to_toml(), encoding="utf-8")
    document = {
        "snapdragon-810": _json(snapdragon_810_calibration(), ()),
        "snapdragon-820": _json(snapdragon_820_calibration(), ()),
        **{name: _json(calibration, ALONE) for name, calibration in ncnn_calibrations().items()},
    }
    document |= {name: _json(calibration, ()) for name, calibration in block_calibrations().items()}
    document["snapdragon-810"]["microbenchmarks_kept_out"] = round(_pieces_held_out(), 4)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(
        "| profile | form | networks | MAPE | Spearman | family held out | log-log FLOPs | pixel scaling | shipped |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, row in document.items():
        cells = [f"{row[way]['mape']:.1%}" for way in ("by_network", "by_family", "log_log_flops", "pixel_scaling")]
        ranks = [
            f"{row[way]['spearman']:.2f}" for way in ("by_network", "by_family", "log_log_flops", "pixel_scaling")
        ]
        others = " | ".join(f"{cell}, {rank}" for cell, rank in zip(cells[1:], ranks[1:], strict=True))
        shipped = "yes" if name in profiles() else "no"
        print(f"| {name} | {row['form']} | {row['networks']} | {cells[0]} | {ranks[0]} | {others} | {shipped} |")


if __name__ == "__main__":
    main()
