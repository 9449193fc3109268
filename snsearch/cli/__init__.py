"""The command line: one thin module per command, loaded when it is called.

Exit codes: 0 success; 1 a failure of the system or a fault of snsearch; 2 wrong usage; 3 a space, budget,
architecture or latency profile that cannot be used; 4 a budget that nothing meets; 5 data that cannot be read; 6 a
study that cannot be used; 7 counters that disagree; 8 a device that cannot be used, or a measurement that is refused;
9 a network that cannot be exported; 10 an int8 export that is slow or loses accuracy; 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import io
import signal
import sys

import click

from snsearch import __version__
from snsearch.cli.shared.streams import set_up_streams
from snsearch.errors import SnsearchError
from snsearch.interrupt import ended_by_signals

COMMANDS = {
    "solve": ("solve", "Solve channel counts that meet a budget."),
    "sample": ("sample", "Draw networks of a space that meet a budget."),
    "networks": ("networks", "List known networks beside their printed figures."),
    "count": ("count", "Count a network under each counting convention."),
    "compare": ("compare", "Compare networks side by side."),
    "data": ("data", "Describe a data set as a search would use it."),
    "search": ("search", "Search networks that meet a budget; ends in a report."),
    "bench": ("bench", "Replay searches on tables of full trainings."),
    "fidelity": ("fidelity", "Judge cheap scores by long trainings of a reference set."),
    "paper": ("paper", "Check the ShuffleNet paper's claims by proxy training."),
    "report": ("report", "Write the HTML page of a study."),
    "train": ("train", "Train a network in full, and test it."),
    "evaluate": ("evaluate", "Test a trained or exported network."),
    "export": ("export", "Export a network as files for a phone, checked."),
    "latency": ("latency", "Predict latencies on a device."),
    "device": ("device", "Add, list and check devices to measure on."),
    "measure": ("measure", "Measure latencies on a device."),
    "profiles": ("profiles", "List the devices' latency profiles, or describe one."),
    "calibrate": ("profiles", "Fit a profile of your own device."),
    "spaces": ("listing", "List the design spaces, or describe one."),
    "budgets": ("listing", "List the named budgets, or describe one."),
    "completion": ("completion", "Print the shell's completion script."),
}


class _Commands(click.Group):
    """Loads a command's module only when it runs, so that help and light commands start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"snsearch.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from snsearch.codec import suggestion

            ctx.fail(f"no command {args[0]!r}{suggestion(args[0], tuple(COMMANDS))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snsearch")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Networks that fit a compute budget, with evidence.

    \b
    snsearch solve --mflops 140 --groups 1,2,3,4,8
    snsearch search --budget 40
    """


def _complain(text: str) -> None:
    """Prints why a command ended, on stderr."""
    from snsearch.cli.shared.console import say

    say(text)


def main() -> None:
    """Runs the command line and ends the process with a documented exit code."""
    owns_process = set_up_streams()
    debug = "--debug" in sys.argv[1:2]
    try:
        with ended_by_signals():
            code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:  # click makes an Abort of a KeyboardInterrupt
        if owns_process:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # one more Ctrl-C ends without a word
            gc.freeze()  # for a fast end
        _complain(str(error.__cause__ or error) or "interrupted")
        code = 130
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _complain(shown.getvalue().rstrip())
        code = error.exit_code
    except SnsearchError as error:
        if debug:
            raise
        _complain(f"snsearch: {error}")
        code = error.exit_code
    except OSError as error:
        if debug:
            raise
        what = f"{error.filename}: " if error.filename else ""
        _complain(f"snsearch: {what}{error.strerror or error}")
        code = 1
    except MemoryError:
        if debug:
            raise
        _complain("snsearch: out of memory; give fewer --workers, or smaller inputs")
        code = 1
    except Exception as error:
        if debug:
            raise
        _complain(f"snsearch: unexpected {type(error).__name__}: {error}")
        _complain("This is a fault of snsearch; run it again as snsearch --debug … and report the traceback.")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
