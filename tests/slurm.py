"""A stand-in for SLURM's commands: jobs are processes of this machine, and their states are files in a folder."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

_FIRST = count(1000, 1000)  # numbers of jobs, which submitit remembers
# A job's shell runs its script again if it was queued again meanwhile, and leaves the exit status in NUMBER.rc.
_COMMANDS = {
    "sbatch": """
number=$(($(ls {jobs} | grep -c '[.]sh$') + {first}))
cp "$1" {jobs}/$number.sh
export SLURM_JOB_ID=$number
setsid bash -c '
  while :; do
    bash {jobs}/$SLURM_JOB_ID.sh
    status=$?
    rm {jobs}/$SLURM_JOB_ID.requeued 2>/dev/null && continue
    echo $status >{jobs}/$SLURM_JOB_ID.rc
    break
  done' </dev/null >>{jobs}/$number.log 2>&1 &
echo $! >{jobs}/$number.pid
echo Submitted batch job $number
""",
    "srun": """
while [ "$1" != {python} ]; do shift; done
exec "$@"
""",
    "sacct": """
echo 'JobID|State|NodeList'
for word in "$@"; do
  case $word in *[!0-9]*) continue ;; esac
  state=RUNNING
  if [ -e {jobs}/$word.rc ]; then
    state=$(cat {jobs}/$word.rc)
    case $state in 0) state=COMPLETED ;; [0-9]*) state=FAILED ;; esac
  fi
  echo "$word|$state|stand-in"
done
""",
    "scancel": """
kill -KILL -- -$(cat {jobs}/$1.pid)
echo CANCELLED >{jobs}/$1.rc
""",
    "scontrol": """
touch {jobs}/$2.requeued
echo requeued >>{jobs}/$2.log
""",
}


@dataclass(frozen=True)
class StandIn:
    """The jobs of a stand-in."""

    folder: Path

    @property
    def jobs(self) -> list[int]:
        """The jobs that were submitted."""
        return sorted(int(path.stem) for path in self.folder.glob("*.sh"))

    def script(self, number: int) -> str:
        """What was submitted."""
        return (self.folder / f"{number}.sh").read_text(encoding="utf-8")

    def log(self, number: int) -> str:
        """What a job and its shell printed."""
        return (self.folder / f"{number}.log").read_text(encoding="utf-8")

    def state(self, number: int) -> str:
        """The state that a job has ended in."""
        return (self.folder / f"{number}.rc").read_text(encoding="utf-8").strip()

    def lose(self, number: int) -> None:
        """Lets a job's node fail."""
        self._kill(number)
        (self.folder / f"{number}.rc").write_text("NODE_FAIL", encoding="utf-8")

    def end(self) -> None:
        """Ends all jobs."""
        for number in self.jobs:
            self._kill(number)

    def _kill(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(int((self.folder / f"{number}.pid").read_text(encoding="utf-8")), signal.SIGKILL)


def stand_in(folder: Path, patch: pytest.MonkeyPatch) -> StandIn:
    """Puts the commands on the path."""
    first = next(_FIRST)
    jobs, programs = folder / "jobs", folder / "bin"
    jobs.mkdir(parents=True)
    programs.mkdir()
    for name, text in _COMMANDS.items():
        program = programs / name
        words = text.replace("{jobs}", f"'{jobs}'").replace("{python}", f"'{sys.executable}'")
        words = words.replace("{first}", str(first))
        program.write_text(f"#!/bin/bash{words}", encoding="utf-8")
        program.chmod(0o755)
    patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return StandIn(jobs)
