"""Searches that are struck by signals at seeded moments, and what each leaves. Writes results/soak.json.

Each seed draws a signal, who gets it, the number of workers, and an event of the search. The struck search must end
with its documented exit code, leave no process behind, and leave a study that opens; the same command must then end
it, with no trial lost and none trained twice. With one worker the study must be that of a search that nothing
struck. Another kind of kill is an entry in STRIKES, another command a function beside `strike`.
"""

from __future__ import annotations

import json
import os
import platform
import random
import select
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.moments import EVENTS, Event, Moment, To, environment, logged
from snsearch.errors import StudyError
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from snsearch.study.verdict import verdict_of

STRIKES: tuple[tuple[str, To], ...] = (
    ("SIGINT", "process"),
    ("SIGINT", "group"),  # as a terminal sends Ctrl-C
    ("SIGTERM", "process"),
    ("SIGTERM", "group"),
    ("SIGHUP", "process"),
    ("SIGKILL", "process"),  # leaves workers to themselves
    ("SIGKILL", "group"),
)
FULL_IMAGES = 512
BATCH_IMAGES = 64
BETWEEN_POINTS = 128  # images at most: what a killed training loses
COMMAND = (
    *(sys.executable, "-m", "benchmarks.moments", "search", "--budget", "3", "--resolution", "96"),
    *("--data", "digits", "--full-images", str(FULL_IMAGES), "--effort", "quick", "--threads", "1"),
    *("--study", "soak"),
)
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a run of the command ended."""

    code: int
    error: str  # all of its stderr
    left: tuple[int, ...]  # processes of it that are still there


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A search of one worker that nothing struck."""

    events: dict[Event, int]
    scores: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Struck:
    """What a struck search left. `faults` are in words; none is expected."""

    seed: int
    workers: int
    moment: Moment
    exit_code: int
    candidates_before: int  # trained when the signal had ended the search
    resumed: bool  # the same command went on to the end
    lost_images: int  # trained again
    faults: tuple[str, ...]


def draw(seed: int, events: dict[Event, int]) -> tuple[int, Moment]:
    """The number of workers and the moment of a seed. Two workers have no fewer events than one, and two starts."""
    rng = random.Random(seed)
    number, to = rng.choice(STRIKES)
    workers = rng.choice((1, 2))
    event = rng.choice(EVENTS if workers == 2 else EVENTS[:-1])
    n = rng.randint(1, 2 if event == "worker" else events[event])
    return workers, Moment(signal=number, to=to, event=event, n=n)


def reference(folder: Path) -> Reference:
    """Runs the search with one worker to its end. Raises StudyError where that fails."""
    ended = _run(folder, 1, None)
    if ended.code:
        raise StudyError(f"the search that nothing strikes ended with {ended.code}: {ended.error}")
    log = folder / "log 1"
    return Reference(events={event: len(logged(log, event)) for event in EVENTS}, scores=_scores(_study(folder)))


def strike(folder: Path, seed: int, undisturbed: Reference) -> Struck:
    """Runs the search of a seed in an empty folder, struck, and then the same command again."""
    workers, moment = draw(seed, undisturbed.events)
    first = _run(folder, workers, moment)
    faults: list[str] = []
    before: StudyRecord | None = None
    if (folder / "reports" / "soak" / "study.db").exists():
        try:
            before = _study(folder)
        except StudyError as error:  # the signal may have come before the study was made
            if not any(words in str(error) for words in ("the file is empty", "no study")):
                faults.append(f"the study cannot be read: {error}")
    if len(logged(folder / "log 1", moment.event)) < moment.n:
        faults.append("the moment never came")
    faults += _faults_of_end(first, moment, before, folder)
    trained = {} if before is None else _scores(before)

    second = _run(folder, workers, None)
    if second.code or second.left:
        faults.append(f"the same command ended with {second.code}, processes {second.left} left: {second.error}")
    after = _study(folder)
    scores = _scores(after)
    if (
        any(trial.status not in ("complete", "stopped", "left out") for trial in after.trials)
        or verdict_of(after) is None
    ):
        faults.append(f"no verdict, {[trial.status for trial in after.trials]}")
    if any(score != scores.get(key) for key, score in trained.items() if len(score) == len(scores.get(key, ()))):
        faults.append("a candidate that was trained has another score now")
    if missing := trained.keys() - scores.keys():
        faults.append(f"lost: {missing}")
    if workers == 1 and scores != undisturbed.scores:
        faults.append("the study is not that of a search that nothing struck")
    batches = sum(len(logged(folder / name, "batch")) for name in ("log 1", "log 2"))
    lost = batches * BATCH_IMAGES - _images(after)
    if not 0 <= lost <= workers * BETWEEN_POINTS:
        faults.append(f"{lost} images were trained again; between two points of a curve are {BETWEEN_POINTS}")
    return Struck(
        seed=seed,
        workers=workers,
        moment=moment,
        exit_code=first.code,
        candidates_before=len(trained),
        resumed=second.code == 0,
        lost_images=lost,
        faults=tuple(fault.replace(str(folder), ".") for fault in faults),
    )


def _faults_of_end(first: Ended, moment: Moment, before: StudyRecord | None, folder: Path) -> list[str]:
    """What is wrong with how the struck search ended."""
    faults = [f"processes {first.left} are left"] if first.left else []
    killed = moment.signal == "SIGKILL"
    # A signal that is heard when nothing is left to stop changes nothing.
    ended = before is not None and verdict_of(before) is not None
    too_late = ended and first.code == 0 and "stopping at the next step" in first.error
    if first.code != (-signal.SIGKILL if killed else 130) and (killed or not too_late):
        faults.append(f"exit code {first.code}: {first.error}")
    if "Traceback" in first.error:
        faults.append(f"a traceback: {first.error}")
    has_page = (folder / "reports" / "soak" / "report.html").is_file()
    if before is not None and before.candidates and not killed and not has_page:
        faults.append("no page")
    return faults


def _study(folder: Path) -> StudyRecord:
    return read_study(f"sqlite:///{folder / 'reports' / 'soak' / 'study.db'}", "soak")


def _scores(record: StudyRecord) -> dict[str, Any]:
    """Every score of a study's candidates, by network; without what differs from run to run, such as times."""
    return {
        trial.architecture.key: [
            (result.seed, result.error, result.loss, [point.test_error for point in result.curve])
            for result in (*trial.results, *trial.finals)
        ]
        for trial in record.candidates
        if trial.architecture is not None
    }


def _images(record: StudyRecord) -> int:
    """Training images of everything that a study keeps, repetitions counted."""
    kept = [result for trial in record.trials for result in (*trial.results, *trial.finals)]
    return sum(result.images_seen for result in kept)


def _run(folder: Path, workers: int, moment: Moment | None) -> Ended:
    """Runs the command until it and all of its processes have ended, and logs its events."""
    log = folder / f"log {1 + len(list(folder.glob('log *')))}"
    log.mkdir(parents=True)
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [*COMMAND, "--workers", str(workers), "--out", str(folder / "reports")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment(moment, log)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        _, error = process.communicate(timeout=900)  # until the last process has closed its stderr
    for child in _session(process.pid):  # one that is about to end gets time for it
        _wait_for(child, seconds=60)
    left = tuple(_session(process.pid))
    for child in left:
        os.kill(child, signal.SIGKILL)
    return Ended(code=process.returncode, error=error, left=left)


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def _wait_for(pid: int, seconds: float) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [], seconds)
    finally:
        os.close(handle)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50, help="how many seeds, from 0")
    asked: int = parser.parse_args().moments
    done: list[Struck] = []
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed = reference(Path(scratch) / "reference")
        print(f"events of a search that nothing strikes: {undisturbed.events}", flush=True)
        for seed in range(asked):
            struck = strike(Path(scratch) / str(seed), seed, undisturbed)
            done.append(struck)
            _write(undisturbed, done)  # as far as it goes: a soak may be ended any time
            print(_line(struck), flush=True)
    faulty = sum(bool(struck.faults) for struck in done)
    print(f"{len(done)} moments, {faulty} with faults, {sum(s.lost_images for s in done):,} images trained again")
    sys.exit(1 if faulty else 0)


def _line(struck: Struck) -> str:
    moment = struck.moment
    return (
        f"seed {struck.seed}: {moment.signal} to the {moment.to} at {moment.event} {moment.n}, "
        f"{struck.workers} worker(s): exit {struck.exit_code}, {struck.candidates_before} candidates, "
        f"{'resumed' if struck.resumed else 'NOT RESUMED'}, {struck.lost_images} images trained again"
        + "".join(f"\n  FAULT: {fault}" for fault in struck.faults)
    )


def _write(undisturbed: Reference, done: list[Struck]) -> None:
    result = {
        "what": "searches of digits struck by a signal at a seeded event, and the same command again",
        "python": platform.python_version(),
        "events": undisturbed.events,
        "full_images": FULL_IMAGES,
        "moments": len(done),
        "with_faults": sum(bool(struck.faults) for struck in done),
        "rows": [asdict(struck) for struck in done],
    }
    path = Path(__file__).parent / "results" / "soak.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
