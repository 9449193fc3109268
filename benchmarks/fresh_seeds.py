"""A search's pick beside the published design for g=3, both trained in full by seeds that chose nothing.

    python -m benchmarks.fresh_seeds STUDY [--seeds 10] [--against KEY]

STUDY is a study's folder; KEY another network than the study's published design for g=3, whose latency is predicted
for a Snapdragon 820. Trainings are kept in STUDY/fresh_seeds.csv, with their right answers beside it, and the
same command goes on; a second process beside the first takes other seeds. Writes results/fresh_seeds.json, an
entry by the study's name, once all are done.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import filelock
import torch

import snsearch
from snsearch.lab.bench import files
from snsearch.lab.logs import Identity, TrainingLog
from snsearch.network import Architecture
from snsearch.study import Observer, StudyRecord, difference, noise_of, read_dataset, verdict_of
from snsearch.training import ProxyResult, text_of, train_proxy

RESULTS = Path(__file__).parent / "results" / "fresh_seeds.json"
FIRST = 1000  # far from the seeds of searches


def pair_of(study: StudyRecord, against: str | None) -> dict[str, tuple[Architecture, float]]:
    """The pick and the published design for g=3, or the network of a key, with their costs."""
    verdict = verdict_of(study)
    assert verdict is not None, "the search has not ended"
    trials = {trial.number: trial for trial in study.trials}
    if against is not None:
        pick, other = trials[verdict.pick.trial], Architecture.from_key(against)
        assert pick.architecture is not None
        assert pick.cost is not None
        return {"pick": (pick.architecture, pick.cost), "g=3": (other, snsearch.predict(other).ms)}
    published = next(
        one for one in study.trials if one.published and one.architecture and set(one.architecture.groups) == {3}
    )
    pair = {"pick": trials[verdict.pick.trial], "g=3": published}
    return {name: (one.architecture, one.cost) for name, one in pair.items() if one.architecture and one.cost}


def result_of(log: TrainingLog, rights: Path, identity: Identity) -> ProxyResult | None:
    """A kept training as a result with its right answers."""
    found, curve = files.read_correct(rights).get(identity) if rights.exists() else None, log.read().get(identity)
    if found is None or curve is None:
        return None
    last = curve[-1]
    return ProxyResult(
        error=last.test_error, loss=last.test_loss, test_images=last.test_images, train_images=0, curve=(),
        seconds=last.cpu_seconds, seed=last.seed, device=last.device, threads=last.threads, torch_version=last.torch,
        correct=text_of(found),
    )  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Trains what is lacking, then compares."""
    torch.set_num_threads(1)
    study = snsearch.load_study(arguments.study)
    assert study.lengths is not None
    recipe = replace(study.lengths.recipe, test_images=10_000)  # at most, as for finalists
    pair, settings = pair_of(study, arguments.against), study.settings
    dataset = read_dataset(
        settings.data, None, Observer(), deployed=min(settings.budget.resolution), scored_on_test=False
    )
    assert dataset.fingerprint() == settings.data_fingerprint, "other images than the study's"
    log, rights = TrainingLog(arguments.study / "fresh_seeds.csv"), arguments.study / "fresh_seeds_correct.csv"
    seeds = range(FIRST, FIRST + arguments.seeds)
    for seed in seeds:
        for name, (arch, _) in pair.items():
            identity = name, "full", seed
            claim = filelock.FileLock(arguments.study / f".{name} {seed}.lock", timeout=0)
            try:
                with claim:
                    if result_of(log, rights, identity):
                        continue
                    found = train_proxy(arch, dataset, recipe, seed=seed, device=torch.device("cpu"), score_on="test")
                    assert found.bits is not None
                    with filelock.FileLock(arguments.study / ".writing.lock"):
                        files.append_correct(rights, identity, found.bits)
                        with log:
                            log.append(identity, found)
                    print(f"{name} seed {seed}: {found.error:.2%}", flush=True)
            except filelock.Timeout:
                continue
    whole = {name: [result_of(log, rights, (name, "full", seed)) for seed in seeds] for name in pair}
    finals = {at: [one for one in own if one] for at, own in enumerate(whole.values())}
    if any(len(own) < len(seeds) for own in finals.values()):
        print("not all are done yet")
        return
    apart = difference(finals[0], finals[1], noise_of(finals, otherwise=0.0))
    (pick, cost), (other, usual) = pair.values()
    low, high = apart.interval
    entry = {
        "data": settings.data_description,
        "space": settings.space,
        "budget": settings.budget.name,
        "pick": pick.key,
        "against": other.key,
        "errors": {name: [one.error for one in own if one] for name, own in whole.items()},
        "difference_points": round(100 * apart.mean, 3),
        "interval_points": [round(100 * low, 3), round(100 * high, 3)],
        "cost_ratio": round(cost / usual, 4),
        "seeds": len(seeds),
        "images": study.lengths.images,
        "test_images": finals[0][0].test_images,
    }
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {study.name: entry}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--against", metavar="KEY")
    main(parser.parse_args())
