"""What the page's figures mean and where they come from, as names with their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snsearch.pages.sections import Facts, Section
from snsearch.pages.view import View
from snsearch.study import COUNTED, OBJECTIVES, StudyRecord, TrialRecord, seed_noise, unit_of
from snsearch.units import format_duration, format_resolution

PAPER = (
    "ShuffleNet's paper (arXiv:1707.01083, section 4.6) found g=4 and g=8 less efficient on a Snapdragon 820, and g=3"
    " the usual trade between error and time"
)


def meaning_section(view: View) -> Section:
    """What the figures mean."""
    facts = proxy_facts(view.study, view.study.candidates)
    return Section(name="meaning", title="What the figures mean", facts=facts)


def provenance_section(view: View) -> Section:
    """What was searched, by which runs, and what has no score."""
    runs, unscored = run_facts(view.study), unscored_facts(view.study)
    folded = {f"Run {at} of {len(runs)}": facts for at, facts in enumerate(runs, start=1)}
    if unscored:
        folded[f"{len(unscored)} trainings without a score"] = unscored
    return Section(name="provenance", title="Provenance", facts=provenance_facts(view.study), folded=folded)


def proxy_facts(study: StudyRecord, trials: Sequence[TrialRecord]) -> Facts:
    """What the error is, and what it was computed from."""
    trained = [result for trial in study.trials for result in (trial.proxy, *trial.repeats) if result is not None]
    devices = sorted({result.device for result in trained})
    cpu_seconds = sum(result.curve[-1].cpu_seconds for result in trained if result.curve)
    scored = "validation" if " validation and " in study.settings.data_description else "test"
    return (
        (
            "What the error is",
            f"share of wrong {scored} images after a short proxy training, not the error of a finished one"
            if study.lengths is None
            else f"in the chart and the table, the share of wrong {scored} images by which the search chooses, at "
            "the resolution of training; in the answer above, that of test images, by seeds that did not choose",
        ),
        *([("Length of training", study.lengths.describe())] if study.lengths else []),
        ("Data", study.settings.data_description),
        *([("Images as used", images)] if (images := _images_words(study)) else []),
        ("Recipe", study.settings.recipe.describe()),
        *([("Balanced error", balanced)] if (balanced := _balanced_words(trials)) else []),
        ("Seeds", _seed_words(trials)),
        ("Intervals", _interval_words(trials)),
        ("Trained on", f"{', '.join(devices)}, with {format_duration(cpu_seconds)} of CPU time in all"),
        ("Second objective", study.settings.cost_label),
    )


def _images_words(study: StudyRecord) -> str:
    """The summary of the data that the latest run printed; empty in studies of earlier versions."""
    summaries = [run["data_summary"] for run in study.provenance if isinstance(run.get("data_summary"), list)]
    return "; ".join(str(line).strip() for line in summaries[-1][1:]) if summaries else ""


def _balanced_words(trials: Sequence[TrialRecord]) -> str:
    """Errors averaged over classes, if they differ from the plain ones; empty if none does."""
    scored = sorted((t.proxy.error, t.number, t.proxy.balanced_error) for t in trials if t.proxy is not None)
    words = [
        f"#{number} {balanced:.1%} (plain {error:.1%})"
        for error, number, balanced in scored
        if balanced is not None and abs(balanced - error) >= 0.005
    ]
    return "mean over the classes of each one's share of wrong images: " + ", ".join(words[:8]) if words else ""


def _seed_words(trials: Sequence[TrialRecord]) -> str:
    seeds = sorted({result.seed for trial in trials for result in trial.results})
    listed = ", ".join(map(str, seeds))
    if further := sorted({result.seed for trial in trials for result in trial.finals}):
        return f"{listed} for what the search chooses by; {', '.join(map(str, further))} for the answer above"
    noise = seed_noise([trial.results for trial in trials])
    if noise is None:
        several = "one per candidate" if len(seeds) == 1 else "too few candidates have several"
        return f"{listed}: {several}, so the spread between seeds is not measured"
    return (
        f"{listed}; {noise.candidates} finalists have several, and between their seeds the error spreads by "
        f"{noise.deviation:.2%} (standard deviation, pooled, {noise.degrees} degrees of freedom)"
    )


def _interval_words(trials: Sequence[TrialRecord]) -> str:
    images = sorted({result.test_images for trial in trials for result in trial.results})
    kind = "validation" if any(r.scored_on == "validation" for t in trials for r in t.results) else "test"
    of_images = f"the {' or '.join(f'{count:,}' for count in images)} {kind} images (Agresti and Coull)"
    if any(trial.finals for trial in trials):
        return f"95 %: in the answer above from test images and seeds, in chart and table from {of_images} alone"
    if seed_noise([trial.results for trial in trials]) is None:
        return (
            f"95 %, from {of_images} alone; they leave out the spread between seeds, which on small data can be as "
            "large as the differences shown"
        )
    return (
        f"95 %, from {of_images} and the spread between seeds, assumed to be the same for every candidate; a mean "
        "over several seeds has a narrower one"
    )


def _cost(trial: TrialRecord) -> float | None:
    return trial.cost


def _mflops(trial: TrialRecord) -> float | None:
    return None if trial.costs is None else trial.costs.mflops


def costs_by_groups(
    trials: Sequence[TrialRecord], cost_of: Callable[[TrialRecord], float | None] = _cost
) -> tuple[tuple[int, float], ...]:
    """(group count, cost) of ShuffleNets that differ in groups and the widths these lead to only.

    The group count is that of all stages; networks with different ones do not count.
    Of all such sets the one with the most group counts, of several the first that was tried; empty if no two
    candidates are alike.
    """
    alike: dict[tuple[object, ...], dict[int, float]] = {}
    for trial in trials:
        cost = cost_of(trial)
        if trial.architecture is None or cost is None or trial.architecture.unit != "shufflenet":
            continue
        design, counts = trial.design, trial.architecture.groups
        if len(set(counts)) > 1:
            continue
        rest = (design.depth, design.se, design.scale, design.shuffle, design.ratios)
        alike.setdefault(rest, {}).setdefault(counts[0], cost)
    best = max(alike.values(), key=len, default={})
    return tuple(sorted(best.items())) if len(best) > 1 else ()


def groups_words(trials: Sequence[TrialRecord], cost_axis: str, *, matched: str = "MFLOPs") -> str | None:
    """What groups cost in this study, beside the paper's finding; None if no two candidates are alike.

    Args:
        trials: the candidates.
        cost_axis: of the second objective.
        matched: what the candidates have in common: "MFLOPs", or "latency", at which their MFLOPs differ.
    """
    if matched == "latency":
        cost_axis = "MFLOPs"
    costs = costs_by_groups(trials, _mflops if matched == "latency" else _cost)
    if not costs:
        return None
    listed = ", ".join(f"g={groups} {cost:.3g}" for groups, cost in costs)
    (fewest, least), (most, last) = costs[0], costs[-1]
    change = last / least - 1
    # The paper's remark is on time: it says nothing of parameters or memory.
    is_time = unit_of(cost_axis) == "ms" or cost_axis == OBJECTIVES[COUNTED].axis
    return (
        f"{cost_axis} at equal {matched}, of candidates alike in all else: {listed}. From g={fewest} to g={most} "
        f"that is {change:+.0%}." + (f" {PAPER}" if is_time else "")
    )


def provenance_facts(study: StudyRecord) -> Facts:
    """What the study searched."""
    settings = study.settings
    budget = settings.budget
    source = f" ({budget.source})" if budget.source else ""
    return (
        ("Study", study.name),
        ("Space", f"{settings.space}, digest {settings.space_digest}"),
        ("Budget", f"{budget.name}: {budget.describe()}{source}"),
        (
            "Deployed input",
            f"{budget.input_channels}x{format_resolution(budget.resolution)}, {budget.classes} classes, "
            f"{budget.precision}",
        ),
        ("Widths", _widths_words(study)),
        ("Data", f"{settings.data}, fingerprint {settings.data_fingerprint}"),
        ("Seed", str(settings.seed)),
    )


def _widths_words(study: StudyRecord) -> str:
    budget, tight = study.settings.budget, study.settings.tight
    is_drawn = any(trial.design is not None and trial.design.ratios is not None for trial in study.trials)
    free = f"every stage free within {'two thirds' if is_drawn else 'a third'} of its proportion"
    if budget.latency_ms is not None:
        return f"{free} where the latency binds: the most MACs within it and at most 2 % below it, if possible"
    return f"{free}, to match the MFLOPs within 0.1 % if possible" if tight else "in proportion"


def run_facts(study: StudyRecord) -> tuple[Facts, ...]:
    """The command, host and versions of each run of the search."""

    def show(value: Any) -> str:
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    return tuple(
        tuple((key.replace("_", " "), show(value)) for key, value in run.items() if key != "data_summary")
        for run in study.provenance
    )


def unscored_facts(study: StudyRecord) -> Facts:
    """Trials that were left on their way, trials and further seeds without a score, with their reasons."""
    left = [
        (f"#{t.number} {t.words}", f"error {t.proxy.error:.1%}; {t.reason}")
        for t in study.trials
        if t.status == "stopped" and t.proxy is not None
    ]
    lost = [(f"#{t.number} {t.status}", t.reason) for t in study.trials if t.status in ("failed", "interrupted")]
    seeds = [(f"#{t.number} seed {seed} failed", reason) for t in study.trials for seed, reason in t.lost_seeds]
    return (*left, *lost, *seeds)
