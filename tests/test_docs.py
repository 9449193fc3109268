"""README and docs: links resolve, every command line parses, the Python example runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from snsearch.cli import COMMANDS, cli
from tests.module_tree import PAGE, module_tree, parts, too_long

CHECKOUT = Path(__file__).parent.parent
PAGES = [
    *(CHECKOUT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((CHECKOUT / "docs").glob("*.md")),
    CHECKOUT / "benchmarks" / "README.md",
    CHECKOUT / "reports" / "README.md",
]
NAMES = {*COMMANDS, "--help", "add", "build-runner", "check", "profile", "run", "show"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _page(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(text: str) -> list[tuple[str, ...]]:
    """The words of every `snsearch ...` line in shell blocks, and of such code in sentences that is no mere name."""
    lines = [line for language, block in FENCE.findall(text) if language == "sh" for line in block.splitlines()]
    codes = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    lines += [code for code in codes if not set(code.split()[1:]) <= NAMES]
    found = []
    for line in lines:
        if line.startswith("snsearch "):
            words = shlex.split(line, comments=True)[1:]
            found.append(tuple(words[: words.index(">")] if ">" in words else words))
    return found


def _parse(words: Sequence[str]) -> None:
    """Parses a command line as click does before it calls the command. Raises click.UsageError."""
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="snsearch"), list(words)
    while isinstance(command, click.Group) and rest:
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        if rest or not isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    if not isinstance(command, click.Group):
        command.make_context(context.info_name, rest, parent=context.parent)


def test_readme_has_at_most_150_lines() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_summary_of_the_evidence_has_at_most_40_lines() -> None:
    text = (CHECKOUT / "docs" / "evidence.md").read_text(encoding="utf-8")
    summary = text.partition("\n## Summary\n")[2].partition("\n## ")[0]
    assert 0 < len(summary.strip().splitlines()) <= 40


@pytest.mark.parametrize("page", PAGES, ids=_page)
def test_relative_links_resolve(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", text)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "words", sorted({words for page in PAGES for words in _commands(page.read_text("utf-8"))}), ids=" ".join
)
def test_every_command_line_parses(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("figures.csv", "my-budget.toml"):
        (tmp_path / name).touch()
    _parse(words)


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        _parse(["solve", "--mflop", "140"])
    with pytest.raises(click.UsageError):
        _parse(["device", "add"])
    with pytest.raises(click.UsageError):
        _parse(["device", "nosuch", "my-phone"])


def test_every_command_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in COMMANDS if not re.search(rf"snsearch {name}\b", text)] == []


@pytest.mark.long
def test_the_python_example_runs(tmp_path: Path) -> None:
    [example] = [
        block
        for language, block in FENCE.findall((CHECKOUT / "README.md").read_text("utf-8"))
        if language == "python"
    ]
    assert len(example.splitlines()) <= 12
    shutil.copytree(CHECKOUT / "reports" / "sample", tmp_path / "reports" / "sample")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 5
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_tree_of_modules_is_up_to_date() -> None:
    _, tree, _ = parts(PAGE.read_text(encoding="utf-8"))
    assert tree == module_tree(), "run: python -m tests.module_tree"


def test_the_lines_of_the_tree_are_whole_sentences_that_fit() -> None:
    assert too_long() == [], "shorten the first sentence of these modules' docstrings"
