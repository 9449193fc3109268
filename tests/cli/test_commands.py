"""The command line as a whole: help, listings, completion, exit codes, and what starting it loads."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import snsearch
from snsearch.cli import COMMANDS, cli
from snsearch.files import bundled_names
from snsearch.prose import width_of
from tests.printed import printed_rows

Run = Callable[..., Any]


def test_version_is_the_installed_one(run: Run) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"snsearch, version {snsearch.__version__}\n")
    assert importlib.metadata.version("snsearch") == snsearch.__version__


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(run: Run, option: str) -> None:
    outcome = run(option)
    assert outcome.code == 0
    assert all(f"  {name} " in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("command", ["solve", "spaces", "budgets", "completion"])
def test_every_light_command_has_help(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: snsearch {command} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slove"], "no command 'slove'; did you mean \"solve\"?"),
        (["zzz"], "no command 'zzz'; known: solve, sample"),
        (["--nothing"], "--nothing"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["completion"], "Missing argument"),
        (["spaces", "--format", "csv"], "'csv' is not one of"),
    ],
)
def test_wrong_usage_ends_with_code_2(run: Run, arguments: list[str], message: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


TOO_LONG = "x" * 300  # for a file's name


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["solve", "--budget", TOO_LONG], 3),
        (["count", f"{TOO_LONG}.toml"], 3),
        (["latency", "--profile", TOO_LONG], 3),
        (["compare", "alexnet", "--html", TOO_LONG], 3),
        (["train", f"{TOO_LONG}.json", "--data", "digits", "--out", "trained"], 3),
        (["train", TOO_LONG, "--data", "digits", "--out", "trained"], 3),
        (["evaluate", TOO_LONG, "--data", "digits"], 3),
        (["data", TOO_LONG], 5),
        (["search", "--budget", "5", "--data", TOO_LONG], 5),
        (["report", TOO_LONG], 6),
        (["report", f"{TOO_LONG}#1"], 6),
        (["fidelity", "show", TOO_LONG], 6),
        (["export", "alexnet", "--to", "torch", "--out", TOO_LONG], 9),
    ],
    ids=lambda value: "-".join(value)[:20] if isinstance(value, list) else str(value),
)
def test_a_name_that_no_file_could_have_is_an_error_of_its_kind(run: Run, arguments: list[str], code: int) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("snsearch: ")
    assert "Errno" not in outcome.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(run: Run, shell: str) -> None:
    outcome = run("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"_SNSEARCH_COMPLETE={shell}_complete" in outcome.out
    assert "_snsearch_completion" in outcome.out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("snsearch sol", {"solve"}),
        ("snsearch solve --budget paper-1", {"paper-13", "paper-140"}),
        ("snsearch solve --space re", {"resnet", "resnext"}),
        ("snsearch solve --space al", {"all"}),
        ("snsearch solve --pack", {"--packed"}),
        ("snsearch spaces shuffle", {"shufflenet-v1", "shufflenet-free"}),
        ("snsearch budgets stm", {"stm32f746"}),
        ("snsearch completion f", {"fish"}),
    ],
)
def test_words_are_completed(words: str, found: set[str]) -> None:
    environment = {
        "_SNSEARCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(cli, [], prog_name="snsearch", env=environment)
    assert {line.removeprefix("plain,") for line in result.stdout.splitlines()} == found


def test_spaces_lists_all_or_those_that_are_named(run: Run) -> None:
    document = json.loads(run("spaces", "--format", "json").out)
    assert document["schema"] == 1
    assert tuple(space["name"] for space in document["spaces"]) == bundled_names("spaces")
    [space] = json.loads(run("spaces", "shufflenet-v1", "--format", "json").out)["spaces"]
    assert space["groups"] == [1, 2, 3, 4, 8]
    assert space["any_groups"] is True
    assert space["depths"]["paper"] == [4, 8, 4]
    assert space["scales"] == [0.25, 0.5, 1.0, 1.5, 2.0]
    assert space["search"]["groups"] == [1, 2, 3, 4, 8]
    assert "arXiv:1707.01083" in space["source"]


def test_budgets_lists_all_or_those_that_are_named(run: Run) -> None:
    document = json.loads(run("budgets", "--format", "json").out)
    assert document["schema"] == 1
    assert tuple(budget["name"] for budget in document["budgets"]) == bundled_names("budgets")
    [budget, number] = json.loads(run("budgets", "visual-wake-words", "38", "--format", "json").out)["budgets"]
    # arXiv:1906.05721, section 3: 60 M multiply-adds, 250 kB of memory and of model.
    assert (budget["mflops"], budget["peak_activation_bytes"], budget["model_size_bytes"]) == (60, 250_000, 250_000)
    assert (budget["match"], budget["precision"], budget["resolution"], budget["classes"]) == ("under", "int8", 96, 2)
    assert (number["mflops"], number["params"], number["match"]) == (38, None, "nearest")


@pytest.mark.parametrize("kind", ["spaces", "budgets"])
def test_a_listing_has_a_row_for_every_file(run: Run, kind: Any) -> None:
    outcome = run(kind)
    assert (outcome.code, outcome.err) == (0, "")
    assert tuple(cells[0] for cells in printed_rows(outcome.out) if cells[0]) == bundled_names(kind)


def test_a_listing_of_nothing_known_is_a_spec_error(run: Run) -> None:
    outcome = run("spaces", "resnt")
    assert (outcome.code, outcome.out) == (3, "")
    assert 'did you mean "resnet"' in outcome.err


def test_brackets_in_a_file_are_text_and_not_markup(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\nname = "mine"\ntitle = "[bold]loud[/bold]"\nmflops = 20\n')
    assert "[bold]loud[/bold]" in run("budgets", str(path)).out


def _broken(*args: object, **kwargs: object) -> None:
    raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_is_one_line_without_debug_and_a_traceback_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snsearch, "solve", _broken)
    outcome = run("solve", "--mflops", "140")
    assert (outcome.code, outcome.out) == (1, "")
    assert "unexpected RuntimeError: a fault of ours" in outcome.err
    assert "--debug" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setattr(sys, "argv", ["snsearch", "--debug", "solve", "--mflops", "140"])
    with pytest.raises(RuntimeError, match="a fault of ours"):
        snsearch.cli.main()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interrupted_command_ends_with_code_130(
    run: Run, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise interruption

    monkeypatch.setattr(snsearch, "solve", interrupted)
    assert run("solve", "--mflops", "140").code == 130


def test_debug_shows_the_traceback_of_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snsearch", "--debug", "spaces", "resnt"])
    with pytest.raises(snsearch.errors.SpecError):
        snsearch.cli.main()


def _python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


HEAVY = ("torch", "networkx", "numpy", "optuna", "thop", "sklearn", "datasets", "PIL")

LOADED_AFTER = f"""
import json, sys
from snsearch.cli import main
sys.argv[0] = "snsearch"
try:
    main()
except SystemExit as end:
    code = end.code or 0
print(json.dumps({{"code": code, "heavy": [name for name in {HEAVY!r} if name in sys.modules]}}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["solve", "--help"],
        ["solve", "--mflops", "140"],
        ["solve", "--mflops", "38,140", "--space", "all", "--packed", "--format", "json"],
        ["solve", "--groups", "3", "--scale", "0.5,1", "--format", "markdown"],
        ["spaces"],
        ["budgets", "--format", "json"],
        ["completion", "zsh"],
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    child = _python("-W", "error", "-c", LOADED_AFTER, *arguments)
    assert json.loads(child.stderr.splitlines()[-1]) == {"code": 0, "heavy": []}
    assert child.stdout


@pytest.mark.parametrize(
    "budget", [("--mflops", "38", "--tight"), ("--latency", "9ms", "--profile", "snapdragon-820")]
)
def test_solving_in_arrays_loads_numpy_and_nothing_heavier(budget: tuple[str, ...]) -> None:
    child = _python("-W", "error", "-c", LOADED_AFTER, "solve", *budget, "--format", "csv")
    assert json.loads(child.stderr.splitlines()[-1]) == {"code": 0, "heavy": ["numpy"]}


def test_the_package_runs_as_a_module_and_its_exit_code_reaches_the_shell() -> None:
    assert _python("-m", "snsearch", "--version").stdout == f"snsearch, version {snsearch.__version__}\n"
    child = _python("-m", "snsearch", "solve", "--mflops", "13", "--groups", "3,64", "--format", "json")
    assert child.returncode == 4
    assert [solution["groups"] for solution in json.loads(child.stdout)["solutions"]] == [3]
    assert "with 64 groups" in child.stderr


@pytest.mark.skipif(os.name != "posix", reason="other systems name what is open otherwise")
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_a_budget_is_read_from_what_the_shell_has_opened(name: str) -> None:
    words = ["-m", "snsearch", "solve", "--budget", name, "--groups", "3", "--format", "json"]
    child = _python(*words, input='\ufeffschema = 1\nname = "piped"\nmflops = 40\n', encoding="utf-8")
    assert (child.returncode, child.stderr) == (0, "")
    assert json.loads(child.stdout)["solutions"][0]["budget"] == "piped"
    endless = _python(*words, input="#" * 2**20)
    assert (endless.returncode, endless.stdout) == (3, "")
    assert "cannot be read: file larger than 256 KiB" in endless.stderr


@pytest.mark.parametrize("arguments", [["budgets", "stm32f746"], ["budgets"], ["profiles"]])
def test_output_without_utf8_is_not_a_fault(arguments: list[str]) -> None:
    child = _python("-m", "snsearch", *arguments, env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.isascii()


def test_json_without_utf8_is_json(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\nname = "mine"\ntitle = "größer ± 1"\nmflops = 20\n', encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    child = _python("-m", "snsearch", "budgets", str(path), "--format", "json", env=environment)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.isascii()
    assert json.loads(child.stdout)["budgets"][0]["title"] == "größer ± 1"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
def test_a_name_that_is_not_utf8_is_printed_with_escapes(tmp_path: Path, encoding: str) -> None:
    name = os.fsdecode(b"gr\xf6\xdfer.toml")
    (tmp_path / name).write_text('schema = 1\nname = "mine"\nmflops = 20\n')
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    found = _python("-m", "snsearch", "budgets", name, cwd=tmp_path, env=environment)
    assert (found.returncode, found.stderr) == (0, "")
    missing = _python("-m", "snsearch", "budgets", f"x{name}", cwd=tmp_path, env=environment)
    assert missing.returncode == 3
    assert "'xgr\\udcf6\\udcdfer.toml' does not exist" in missing.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell redirects otherwise elsewhere")
@pytest.mark.parametrize("command", ["solve --mflops 40", "budgets --format json", "--help", "completion bash"])
@pytest.mark.parametrize(
    ("redirected", "code"), [(">&-", 0), (">/dev/full", 1), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 0)]
)
def test_streams_that_are_closed_or_full_are_no_fault(command: str, redirected: str, code: int) -> None:
    shell = ["sh", "-c", f"{shlex.quote(sys.executable)} -m snsearch {command} {redirected}"]
    child = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    said = "snsearch: standard output: No space left on device\n" if code else ""
    assert (child.returncode, child.stderr) == (code, said)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize(
    "words",
    [
        ["count", "x" * 200],
        ["solve", "--mflops", "140", "--groups", "3", "--space", "nope"],
        ["solve", "--mflops", "0.0001"],
        ["search", "--budget", "40", "--executor", "dask"],
        ["latency", "alexnet", "--profile", "nope"],
        ["slove"],
        ["export", "alexnet", "--to", "onix", "--out", "out"],
    ],
)
def test_messages_are_wrapped_and_long_words_are_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: int, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run(*words).errors.splitlines()
    assert lines
    assert all(width_of(line) <= columns or " " not in line.strip() for line in lines)


def test_an_error_keeps_its_code_where_nobody_can_read_it() -> None:
    for redirected in ("2>&-", "2>/dev/full"):
        shell = ["sh", "-c", f"{shlex.quote(sys.executable)} -m snsearch solve --budget nix {redirected}"]
        assert subprocess.run(shell, timeout=60, check=False).returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_any_command_with_code_130(run: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(snsearch, "solve", lambda **options: os.kill(os.getpid(), number))
    assert run("solve", "--mflops", "140").code == 130


def test_memory_that_does_not_suffice_is_no_fault_of_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(**options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(snsearch, "solve", run_out)
    outcome = run("solve", "--mflops", "140")
    assert (outcome.code, outcome.out) == (1, "")
    assert "out of memory" in outcome.err
    assert "fault of snsearch" not in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="pipes are closed otherwise elsewhere")
@pytest.mark.parametrize("words", [["solve", "--mflops", "140", "--format", "json"], ["--help"], ["solve", "--help"]])
def test_a_reader_that_goes_away_is_not_an_error(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    child = subprocess.Popen(
        [sys.executable, "-m", "snsearch", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
