"""The public calls of a study: defaults, scripts without a guard, Ctrl-C, objectives, and what fails early."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import snsearch
from snsearch import api
from snsearch.cli.search import search as search_command
from snsearch.errors import DeviceError, SpecError
from snsearch.network.costs import count_costs
from snsearch.study.objective import OBJECTIVES, objective_named, unit_of
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.studies import pretended_training

ROOT = Path(snsearch.__file__).parents[1]
SMALL: dict[str, Any] = {"data": "digits", "resolution": 96, "full_images": 64, "effort": "quick", "workers": 1}
PRETENDED = pretended_training(
    lambda arch: (1 - arch.stage_channels[-1] / 2000, 0.9 - arch.stage_channels[-1] / 2000)
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    out = tmp_path_factory.mktemp("reports")
    return api.search(3, objective="peak-memory", out=out, train=PRETENDED, **SMALL)


def test_defaults_are_the_command_lines() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(api.search).parameters.items()}
    given = search_command.make_context("search", ["--budget", "3"]).params
    assert set(given) == set(defaults) - {"observer", "train"}
    assert {name: str(value) for name, value in given.items()} == {
        name: "3" if name == "budget" else str(defaults[name]) for name in given
    }


def test_a_help_section_names_every_option_once() -> None:
    assert isinstance(search_command.sections, dict)  # type: ignore[attr-defined]
    named = [name for names in search_command.sections.values() for name in names]  # type: ignore[attr-defined]
    assert sorted(named) == sorted(str(param.name) for param in search_command.params)


def test_no_module_takes_the_name_of_a_public_call() -> None:
    for name in ("api", "lab", "study"):
        package = importlib.import_module(f"snsearch.{name}")
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not modules & set(package.__all__)


SCRIPT = """
import sys
import snsearch
found = snsearch.search(
    3, data="digits", resolution=96, full_images=64, effort=sys.argv[1], workers=2
)
print(len(found.candidates) >= 3)
"""


def _script(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_a_script_without_a_guard_searches_with_several_workers(tmp_path: Path) -> None:
    with _script(tmp_path, "quick") as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out.strip()) == (0, "True"), err


@pytest.mark.long
def test_ctrl_c_in_a_script_leaves_a_usable_study(tmp_path: Path) -> None:
    study = tmp_path / "reports" / "shufflenet-v1-3-digits" / "study.db"
    with _script(tmp_path, "thorough") as process:
        while not (study.is_file() and _has_candidates(study)):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert "KeyboardInterrupt" in err
    record = api.load_study(study)
    assert record.candidates


def _has_candidates(study: Path) -> bool:
    try:
        return bool(read_study(f"sqlite:///{study}").candidates)
    except Exception:  # the search has not made its tables yet
        return False


def test_a_record_knows_its_study_and_goes_on(searched: StudyRecord, tmp_path: Path) -> None:
    assert api.load_study(searched.name, storage=searched.url) == searched
    out = Path(searched.url.removeprefix("sqlite:///")).parents[1]
    again = api.search(3, objective="peak-memory", trials=30, out=out, train=PRETENDED, **SMALL)
    assert len({trial.design for trial in again.trials}) >= 30 > len({trial.design for trial in searched.trials})
    assert again.provenance[0]["command"] == [
        *("snsearch", "search", "--budget", "3", "--data", "digits", "--resolution", "96x96", "--effort", "quick"),
        *("--objective", "peak-memory", "--out", str(out), "--full-images", "64"),
        *("--workers", "1"),
    ]
    page = api.report(searched)
    assert isinstance(page, str)
    assert api.report(searched, tmp_path / "page.html") == tmp_path / "page.html"


def test_a_record_shows_itself_in_a_notebook_escaped(searched: StudyRecord) -> None:
    text = replace(searched, name="<b>")._repr_html_()
    assert "<table>" in text
    assert "KiB of peak activations" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text


def test_an_objective_is_what_its_networks_are_counted_at(searched: StudyRecord) -> None:
    for trial in searched.candidates:
        assert trial.architecture is not None
        assert trial.cost == count_costs(trial.architecture).peak_activation_bytes / 1024
    assert searched.settings.cost_name == "peak-memory"
    page = api.report(searched)
    assert isinstance(page, str)
    assert "KiB of peak activations (counted)" in page
    assert " ms" not in page.partition("<main>")[2].partition("Provenance")[0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_names_its_unit(name: str) -> None:
    objective = objective_named(name)
    assert objective.name == name
    assert unit_of(objective.axis) in ("MMACs + MB moved", "M parameters", "KiB of peak activations")


def test_an_unknown_objective_is_named_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='did you mean "peak-memory"'):
        api.search(3, objective="peakmemory", out=tmp_path, **SMALL)
    with pytest.raises(SpecError, match="give one of the two"):
        api.search(3, objective="params", profile="snapdragon-820", out=tmp_path, **SMALL)


def test_what_is_counted_has_no_core() -> None:
    with pytest.raises(DeviceError, match="takes no core"):
        api.measure("shufflenet-v1", "counted://cortex-a72", core=1)


HEAVY = ("torch", "optuna", "sklearn", "scipy", "networkx")  # numpy is light, and describing data needs it


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "--budget", "40", "--data", "nosuch"),
        ("search", "--budget", "40", "--data", "folder:nosuch"),
        ("search", "--budget", "nosuch"),
        ("search", "--budget", "40", "--space", "nosuch"),
        ("search", "--budget", "40", "--profile", "nosuch"),
        ("search", "--budget", "40", "--device", "nosuch"),
        ("search", "--budget", "40", "--study", "../nosuch"),
        ("report", "nosuch"),
        ("measure", "nosuch", "--device", "nosuch"),
        ("paper", "--data", "nosuch"),
        ("fidelity", "run", "--budget", "40", "--data", "nosuch"),
        ("fidelity", "show", "nosuch"),
        ("device", "check", "nosuch"),
    ],
)
def test_wrong_input_is_told_before_anything_heavy_is_loaded(arguments: tuple[str, ...], tmp_path: Path) -> None:
    program = (
        "import sys\nfrom snsearch.cli import main\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        f"    print(end.code, [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SNSEARCH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, loaded = outcome.stdout.strip().split(" ", 1)
    assert int(code) in (3, 5, 6, 8), outcome.stderr
    assert loaded == "[]"
    assert "nosuch" in outcome.stderr
