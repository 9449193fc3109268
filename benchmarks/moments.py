"""A search that is struck by a signal at a moment, and the moment is an event, not a time.

`python -m benchmarks.moments search ...` is `snsearch search ...` whose events, of all its processes together, are
logged in the folder that the environment names; the n-th of a kind sends the signal. So a moment is the same one on
a busy machine. Its worker processes find their way here because they import `train` by its name.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from torch.optim.optimizer import register_optimizer_step_post_hook

from snsearch.training.proxy import train_proxy
from snsearch.training.recipe import ProxyResult

Event = Literal["row", "file", "batch", "worker"]
To = Literal["process", "group"]

EVENTS: tuple[Event, ...] = (
    "row",  # a statement that writes to the study's database, done; or a transaction, about to be committed
    "file",  # a file below the working folder, about to be opened for writing, or to be renamed
    "batch",  # a batch, trained
    "worker",  # a worker process that has read its job, and has not begun
)
SENDERS: dict[To, Callable[[int, int], None]] = {"process": os.kill, "group": os.killpg}
_VARIABLE = "SNSEARCH_MOMENT"
_WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A signal, and when it is sent: at the n-th event of a kind, counted from 1."""

    signal: str  # its name
    to: To
    event: Event
    n: int


def environment(moment: Moment | None, log: Path) -> dict[str, str]:
    """The variable that strikes a search at that moment, or only logs its events, one file a kind, into a folder."""
    return {_VARIABLE: json.dumps({"log": str(log), "moment": asdict(moment) if moment else None})}


def logged(log: Path, event: Event) -> list[int]:
    """The process id of every event of a kind, in their order."""
    path = log / event
    return [int(line) for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []


@cache
def _asked() -> tuple[Path, Moment | None]:
    given = json.loads(os.environ[_VARIABLE])
    return Path(given["log"]), Moment(**given["moment"]) if given["moment"] else None


@cache
def _opened(event: Event) -> int:
    return os.open(_asked()[0] / event, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _happened(event: Event) -> None:
    """Logs an event; sends the signal if its moment has come."""
    line = b"%10d\n" % os.getpid()
    os.write(_opened(event), line)
    # After an appended write this process stands at its own line's end, whatever others have appended since.
    number = os.lseek(_opened(event), 0, os.SEEK_CUR) // len(line)
    moment = _asked()[1]
    if moment is not None and (event, number) == (moment.event, moment.n):
        SENDERS[moment.to](os.getsid(0), getattr(signal, moment.signal))  # the search leads its session and group


def _hear_files(name: str, arguments: tuple[Any, ...]) -> None:
    if name == "open":
        path, _, flags = arguments
        writes = isinstance(path, str) and flags & (os.O_WRONLY | os.O_RDWR)
    else:
        path, writes = arguments[0] if arguments else None, name == "os.rename"
    if writes and Path(path).absolute().is_relative_to(Path.cwd()):
        _happened("file")


def _listen() -> None:
    """Lets this process hear its own events."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hear_statement(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(_WRITES):
            _happened("row")

    for kind in EVENTS:
        _opened(kind)
    event.listen(Engine, "after_cursor_execute", hear_statement)
    event.listen(Engine, "commit", lambda connection: _happened("row"))
    register_optimizer_step_post_hook(lambda *_: _happened("batch"))
    sys.addaudithook(_hear_files)


def train(*arguments: Any, **options: Any) -> ProxyResult:
    """As train_proxy, and known here by its name."""
    return train_proxy(*arguments, **options)


def main() -> None:
    """The command line of snsearch, with its events heard."""
    from benchmarks import moments  # by its name: workers import it, and this file's other name is __main__
    from snsearch import api, cli

    # In the background, or under nohup, these would be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    api.search = partial(api.search, train=moments.train)
    moments._listen()
    cli.main()


if __name__ == "__main__":
    main()
elif _VARIABLE in os.environ and os.getsid(0) != os.getpid():  # in a worker, which reads its job
    _listen()
    _happened("worker")
