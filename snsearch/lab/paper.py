"""The ShuffleNet paper's claims (arXiv:1707.01083, tables 2 to 5) beside what proxy training sees.

Every claim is a contrast: errors of networks of matched cost, weighted so that a positive sum has the paper's sign.
The paper's figures are top-1 errors on ImageNet in percent; what is seen are errors on the user's data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal

from snsearch.codec import Stored, decode, differences, encode, parse_json
from snsearch.errors import InfeasibleBudgetError, StudyError
from snsearch.files import write_whole
from snsearch.lab.contrasts import Contrast, Errors, common_seeds, contrast_of, difference_of, estimate_of, noise_of
from snsearch.lab.logs import Curve
from snsearch.lab.trainings import Training
from snsearch.network import Architecture, count_macs
from snsearch.solver import MATCH_LIMIT, Design, Solution, digest_of, load_space, mflops_budget, solve
from snsearch.training import Dataset, Recipe

TABLES = (2, 3, 4, 5)
HARDLY_LEARNS = 0.8  # of the error of guessing: such a network says little about its structure
RECIPE_NAME = "proxy"

# The networks of the tables, as designs of bundled spaces. Their order decides by which name one that serves
# several tables is trained.
NETWORKS: dict[str, tuple[str, Design]] = {
    **{f"ShuffleNet g={g}": ("shufflenet-v1", Design(groups=g)) for g in (1, 2, 3, 4, 8)},
    **{f"ShuffleNet g={g}, no shuffle": ("shufflenet-v1", Design(groups=g, shuffle=False)) for g in (3, 8)},
    "ShuffleNet g=3, SE": ("shufflenet-v1", Design(groups=3, se=True)),
    "ShuffleNet g=3, shallow": ("shufflenet-v1", Design(groups=3, depth="shallow")),
    "VGG-like": ("vgg-like", Design(groups=1)),
    "ResNet": ("resnet", Design(groups=1)),
    "Xception-like": ("xception-like", Design(groups=1)),
    "ResNeXt": ("resnext", Design(groups=16)),
    "MobileNet": ("mobilenet-v1", Design(groups=1)),
}

# Top-1 errors in percent by table, MFLOPs (ShuffleNet's) and network. Table 3 prints scales instead of MFLOPs.
FIGURES: dict[int, dict[float, dict[str, float]]] = {
    2: {
        mflops: {f"ShuffleNet g={g}": error for g, error in zip((1, 2, 3, 4, 8), errors, strict=True)}
        for mflops, errors in (
            (140, (33.6, 32.7, 32.6, 32.8, 32.4)),
            (38, (45.1, 44.4, 43.2, 41.6, 42.3)),
            (13, (57.1, 56.8, 55.0, 54.2, 52.7)),
        )
    },
    3: {
        mflops: dict(
            zip(
                ("ShuffleNet g=3, no shuffle", "ShuffleNet g=3", "ShuffleNet g=8, no shuffle", "ShuffleNet g=8"),
                errors,
                strict=True,
            )
        )
        for mflops, errors in (
            (140, (34.5, 32.6, 37.6, 32.4)),
            (38, (45.7, 43.2, 48.1, 42.3)),
            (13, (56.3, 55.0, 56.5, 52.7)),
        )
    },
    4: {
        140: {"VGG-like": 50.7, "ResNet": 37.3, "Xception-like": 33.6, "ResNeXt": 33.3, "ShuffleNet g=8": 32.4},
        38: {"ResNet": 48.8, "Xception-like": 45.1, "ResNeXt": 46.0, "ShuffleNet g=4": 41.6},
        13: {"ResNet": 63.7, "Xception-like": 57.1, "ResNeXt": 65.2, "ShuffleNet g=8": 52.7},
    },
    5: {  # MobileNet's own MFLOPs are 569, 325, 149 and 41
        524: {"MobileNet": 29.4, "ShuffleNet g=3": 26.3, "ShuffleNet g=3, SE": 24.7},
        292: {"MobileNet": 31.6, "ShuffleNet g=3": 28.5},
        140: {"MobileNet": 36.3, "ShuffleNet g=8": 32.4},
        38: {"MobileNet": 49.4, "ShuffleNet g=4": 41.6, "ShuffleNet g=3, shallow": 42.8},
    },
}

Weights = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A comparison that the paper makes, at one or several of its budgets (MFLOPs)."""

    id: str
    table: int
    text: str
    at: Mapping[float, Weights]  # positive: errors that the paper has the higher

    def nearest(self, mflops: float) -> float:
        """The budget of the paper's that is nearest by ratio, among those at which it makes the claim."""
        return min(self.at, key=lambda own: abs(math.log(own / mflops)))

    def figures(self, at: float) -> dict[str, float]:
        """The paper's errors in percent, of the networks that are compared."""
        return {network: FIGURES[self.table][at][network] for network in self.at[at]}

    def points(self, at: float) -> float:
        """The contrast of the paper's own figures, in percentage points."""
        return sum(weight * FIGURES[self.table][at][network] for network, weight in self.at[at].items())


def _less(worse: str, better: str) -> Weights:
    return {worse: 1, better: -1}


_GROUPED: Weights = {"ShuffleNet g=1": 1} | {f"ShuffleNet g={g}": -0.25 for g in (2, 3, 4, 8)}
_UNSHUFFLED_3 = _less("ShuffleNet g=3, no shuffle", "ShuffleNet g=3")
_UNSHUFFLED_8 = _less("ShuffleNet g=8, no shuffle", "ShuffleNet g=8")
_BEST_OF_TABLE_4 = {140: "ShuffleNet g=8", 38: "ShuffleNet g=4", 13: "ShuffleNet g=8"}
_SHALLOW = "ShuffleNet g=3, shallow"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="groups",
        table=2,
        text="several groups (mean of g=2, 3, 4, 8) err less than one",
        at=dict.fromkeys((140, 38, 13), _GROUPED),
    ),
    *(
        Claim(
            id=f"groups-{g}",
            table=2,
            text=f"g={g} errs less than g=1",
            at=dict.fromkeys((140, 38, 13), _less("ShuffleNet g=1", f"ShuffleNet g={g}")),
        )
        for g in (2, 3, 4, 8)
    ),
    Claim(
        id="groups-saturate",
        table=2,
        text="from g=4 to g=8 the gain goes on at 13 and 140 MFLOPs, and is over at 38",
        at={
            140: _less("ShuffleNet g=4", "ShuffleNet g=8"),
            38: _less("ShuffleNet g=8", "ShuffleNet g=4"),
            13: _less("ShuffleNet g=4", "ShuffleNet g=8"),
        },
    ),
    Claim(
        id="shuffle-3",
        table=3,
        text="channel shuffle helps at g=3",
        at=dict.fromkeys((140, 38, 13), _UNSHUFFLED_3),
    ),
    Claim(
        id="shuffle-8",
        table=3,
        text="channel shuffle helps at g=8",
        at=dict.fromkeys((140, 38, 13), _UNSHUFFLED_8),
    ),
    Claim(
        id="shuffle-more",
        table=3,
        text="channel shuffle helps more at g=8 than at g=3",
        at=dict.fromkeys(
            (140, 38, 13), _UNSHUFFLED_8 | {network: -weight for network, weight in _UNSHUFFLED_3.items()}
        ),
    ),
    *(
        Claim(
            id=f"unit-{unit.lower()}",
            table=4,
            text=f"ShuffleNet errs less than {unit}",
            at={mflops: _less(unit, best) for mflops, best in _BEST_OF_TABLE_4.items() if unit in FIGURES[4][mflops]},
        )
        for unit in ("VGG-like", "ResNet", "Xception-like", "ResNeXt")
    ),
    Claim(
        id="mobilenet",
        table=5,
        text="ShuffleNet errs less than MobileNet",
        at={
            524: _less("MobileNet", "ShuffleNet g=3"),
            292: _less("MobileNet", "ShuffleNet g=3"),
            140: _less("MobileNet", "ShuffleNet g=8"),
            38: _less("MobileNet", "ShuffleNet g=4"),
        },
    ),
    Claim(
        id="se",
        table=5,
        text="squeeze-and-excitation helps ShuffleNet",
        at={524: _less("ShuffleNet g=3", "ShuffleNet g=3, SE")},
    ),
    Claim(
        id="depth",
        table=5,
        text="full depth (g=4) errs less than half the depth (g=3)",
        at={38: _less(_SHALLOW, "ShuffleNet g=4")},
    ),
    Claim(
        id="shallow-mobilenet",
        table=5,
        text="ShuffleNet of half the depth errs less than MobileNet",
        at={38: _less("MobileNet", _SHALLOW)},
    ),
    Claim(
        id="structure",
        table=5,
        text="the lead over MobileNet is due to the units more than to the depth",
        # (MobileNet - shallow) - (shallow - full)
        at={38: {"MobileNet": 1, _SHALLOW: -2, "ShuffleNet g=4": 1}},
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LineUp:
    """The networks of the tables at one budget: each solved, and each different one once under one label."""

    mflops: float  # the budget
    solutions: dict[str, Solution]  # by label
    names: dict[str, str]  # label by network of NETWORKS
    missing: dict[str, str]  # networks that the budget leaves none of, with the reason

    def served_by(self, label: str) -> list[str]:
        """The networks of the paper that this one serves as."""
        return [name for name, own in self.names.items() if own == label]


def line_up(mflops: float, tables: Sequence[int], *, tight: bool) -> LineUp:
    """The networks of some tables for a budget, at the paper's input: 224x224, 1000 classes.

    Raises InfeasibleBudgetError if the budget leaves none of them.
    """
    budget = mflops_budget(mflops)
    wanted = {
        network
        for claim in CLAIMS
        if claim.table in tables
        for network in claim.at[claim.nearest(mflops)]
    }  # fmt: skip
    solutions: dict[str, Solution] = {}
    names: dict[str, str] = {}
    missing: dict[str, str] = {}
    labels: dict[Architecture, str] = {}
    # All are solved, so that a network's label does not depend on which tables are asked for.
    for name, (space, design) in NETWORKS.items():
        try:
            solution = solve(load_space(space), budget, design, tight=tight)
        except InfeasibleBudgetError as error:
            if name in wanted:
                missing[name] = str(error)
            continue
        arch = solution.architecture
        distinct = replace(arch, shuffle=False) if max(arch.groups) == 1 else arch  # one group: nothing to shuffle
        label = labels.setdefault(distinct, f"{mflops:g} MFLOPs {name}")
        if name in wanted:
            names[name] = label
            solutions.setdefault(label, solution)
    if not names:
        raise InfeasibleBudgetError(
            f"no network of the paper's meets {budget.describe()}; of one design: {next(iter(missing.values()))}"
        )
    assert budget.macs is not None, "the budget is a number of MFLOPs"
    return LineUp(mflops=budget.macs / 1e6, solutions=solutions, names=names, missing=missing)


def trainings_of(line_ups: Sequence[LineUp], recipe: Recipe, seeds: int) -> list[Training]:
    """Every network with every seed; all networks with the first seed come first."""
    return [
        Training(label=label, architecture=solution.architecture, recipe_name=RECIPE_NAME, recipe=recipe, seed=seed)
        for seed in range(seeds)
        for line in line_ups
        for label, solution in line.solutions.items()
    ]


def trained_macs(arch: Architecture, dataset: Dataset) -> int:
    """Multiply-adds of a network on the images that it is trained on."""
    return count_macs(dataset.network(arch))


def errors_of(line: LineUp, curves: Mapping[tuple[str, str, int], Curve], seeds: int) -> dict[str, dict[int, float]]:
    """Test errors by label and seed, of the trainings that are done."""
    return {
        label: {
            seed: curves[label, RECIPE_NAME, seed][-1].test_error
            for seed in range(seeds)
            if (label, RECIPE_NAME, seed) in curves
        }
        for label in line.solutions
    }


Finding = Literal["reproduced", "not reproduced", "undecided", "not run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A claim at a budget: the paper's figures, what was seen, and what that says. Differences in points of error."""

    claim: str
    table: int
    text: str
    mflops: tuple[float, ...]  # two where budgets are compared
    networks: dict[str, float]  # labels with their weights
    paper_mflops: tuple[float, ...]
    paper_errors: dict[str, float]  # percent
    paper_points: float
    points: float | None  # None if it was not run
    points_95: float | None  # half the width of the 95 % interval; None if the noise is unknown
    confidence: float | None  # that the sign is the paper's
    degrees: float | None  # of freedom
    seeds: int
    finding: Finding
    note: str


def judge(
    line_ups: Sequence[LineUp],
    curves: Mapping[tuple[str, str, int], Curve],
    tables: Sequence[int],
    *,
    seeds: int,
    classes: int,
) -> tuple[Verdict, ...]:
    """The verdict on every claim of the tables by the finished trainings, budget by budget.

    A claim is reproduced if the 95 % interval of its contrast lies above zero, not reproduced if it lies below,
    undecided otherwise. A budget's networks of one structure unit share their noise; see contrasts.
    """
    verdicts: list[Verdict] = []
    groups: list[tuple[LineUp, Contrast | None]] = []
    for line in line_ups:
        errors = errors_of(line, curves, seeds)
        kinds = {label: solution.architecture.unit for label, solution in line.solutions.items()}
        noise = noise_of(errors, kinds)
        for claim in CLAIMS:
            if claim.table not in tables:
                continue
            at = claim.nearest(line.mflops)
            missing = [name for name in claim.at[at] if name in line.missing]
            weights = {line.names[name]: weight for name, weight in claim.at[at].items() if name in line.names}
            contrast = None if missing else contrast_of(errors, weights, kinds, noise)
            shared = [] if missing else common_seeds(errors, weights)
            verdicts.append(
                _verdict(
                    claim,
                    contrast,
                    mflops=(line.mflops,),
                    paper_mflops=(at,),
                    paper_errors=claim.figures(at),
                    paper_points=claim.points(at),
                    networks=weights,
                    estimate=estimate_of(errors, weights, shared) if shared else None,
                    seeds=len(shared),
                    note=_note(line, weights, missing, errors, HARDLY_LEARNS * (1 - 1 / classes)),
                )
            )
            if claim.id == "groups":
                groups.append((line, contrast))
    for (small, gain), (large, gain_of_large) in pairwise(groups):
        verdicts.append(_smaller_gains_more(small, gain, large, gain_of_large))
    return tuple(verdicts)


def _note(line: LineUp, weights: Mapping[str, float], missing: Sequence[str], errors: Errors, hardly: float) -> str:
    """What a reader should know of the networks that are compared."""
    notes = [f"the budget leaves no {', no '.join(missing)}"] if missing else []
    deviations = [line.solutions[label].deviation or 0.0 for label in weights]
    if weights and max(deviations) - min(deviations) > MATCH_LIMIT:
        notes.append(f"not matched: from {min(deviations):+.1%} to {max(deviations):+.1%} of the budget")
    lost = [line.served_by(label)[0] for label in weights if errors[label] and fmean(errors[label].values()) > hardly]
    if lost:
        notes.append(f"hardly learns: {', '.join(lost)}")
    return "; ".join(notes)


def _smaller_gains_more(
    small: LineUp, gain: Contrast | None, large: LineUp, gain_of_large: Contrast | None
) -> Verdict:
    claim = CLAIMS[0]
    at = claim.nearest(small.mflops), claim.nearest(large.mflops)
    contrast = None if gain is None or gain_of_large is None else difference_of(gain, gain_of_large)
    networks = {
        line.names[name]: sign * weight
        for line, own, sign in ((small, at[0], 1), (large, at[1], -1))
        for name, weight in claim.at[own].items()
        if name in line.names
    }
    figures = {
        f"{own:g} MFLOPs {name}": error
        for own in dict.fromkeys(at)
        for name, error in claim.figures(own).items()
    }  # fmt: skip
    return _verdict(
        replace(
            claim, id="groups-smaller", text=f"several groups gain more at {small.mflops:g} than at {large.mflops:g}"
        ),
        contrast,
        mflops=(small.mflops, large.mflops),
        paper_mflops=at,
        paper_errors=figures,
        paper_points=claim.points(at[0]) - claim.points(at[1]),
        networks=networks,
        estimate=None if contrast is None else contrast.estimate,
        seeds=0 if contrast is None else contrast.seeds,
        note="the paper has no two budgets so near" if at[0] == at[1] else "",
    )


def _verdict(claim: Claim, contrast: Contrast | None, *, estimate: float | None, **details: Any) -> Verdict:
    finding: Finding = "not run" if estimate is None else "undecided"
    if contrast is not None and abs(contrast.estimate) > contrast.half_width_95:
        finding = "reproduced" if contrast.estimate > 0 else "not reproduced"
    return Verdict(
        claim=claim.id,
        table=claim.table,
        text=claim.text,
        points=None if estimate is None else 100 * estimate,
        points_95=None if contrast is None else 100 * contrast.half_width_95,
        confidence=None if contrast is None else contrast.confidence,
        degrees=None if contrast is None else contrast.noise.degrees,
        finding=finding,
        **details,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperSettings:
    """The settings of a folder's trainings: kept in it, and compared when a run continues it."""

    STORED: ClassVar = Stored(schema=1)

    recipe: Recipe
    tight: bool
    data_fingerprint: str
    data_description: str
    spaces: dict[str, str]  # digest by name

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, *, tight: bool) -> PaperSettings:
        """The settings of a run on a data set."""
        return cls(
            recipe=recipe,
            tight=tight,
            data_fingerprint=dataset.fingerprint(),
            data_description=f"{dataset.describe()}; {dataset.source}",
            spaces={name: digest_of(load_space(name)) for name in sorted({space for space, _ in NETWORKS.values()})},
        )

    def keep(self, path: Path) -> None:
        """Writes the settings, or compares them with those that are there.

        Raises StudyError if they differ, naming the differences, or if the file cannot be read or written.
        """
        try:
            if not path.exists():
                write_whole(path, json.dumps(encode(self), indent=2) + "\n")
                return
            values = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyError(f"the settings {str(path)!r} cannot be used: {error.strerror or error}") from None
        except ValueError as error:
            raise StudyError(f"the settings {str(path)!r} are not valid JSON: {error}") from None
        theirs = decode(PaperSettings, values, f"the settings {str(path)!r}", error=StudyError)
        # How the data is described does not count: its fingerprint does.
        if differing := differences(encode(theirs), encode(self), ("data_description",)):
            raise StudyError(
                f"{str(path.parent)!r} was begun with other settings ({'; '.join(differing)}); give those again, or "
                "another folder with --out"
            )
