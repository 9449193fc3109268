"""The Python API: what its functions return and refuse, and what importing it loads."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

import snsearch
from snsearch.api import UnmetBudgetsError
from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.network.features import FeatureNetwork
from snsearch.network.torch_model import build_model
from snsearch.study import best_candidate
from tests.architectures import shufflenet

PAPER_1X = shufflenet(3, 240, 480, 960)
SMALL = shufflenet(2, 32, 64, 128, stem=8, stage_repeats=(2, 2, 2), resolution=(64, 64), classes=7)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, snsearch; print({'torch', 'numpy', 'click', 'rich', 'networkx'} & set(sys.modules) or '')"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert child.stdout == "\n"


def test_every_function_is_a_function_whatever_was_imported() -> None:
    for module in pkgutil.walk_packages(snsearch.__path__, "snsearch."):
        if not module.name.endswith((".__main__", "python_runner")):
            importlib.import_module(module.name)
    for name in snsearch.__all__:
        assert not isinstance(getattr(snsearch, name), ModuleType), name


def test_every_function_is_documented_with_an_example() -> None:
    offered = [getattr(snsearch, name) for name in snsearch.__all__]
    functions = [value for value in offered if inspect.isfunction(value)]
    assert functions
    for function in functions:
        text = inspect.getdoc(function) or ""
        assert ">>> import snsearch" in text, function.__name__


# solve


def test_solve_returns_the_command_lines_networks_as_a_tuple() -> None:
    found = snsearch.solve(mflops=(38, 140), groups=[1, 3])
    assert isinstance(found, tuple)
    assert [(s.budget and s.budget.macs, s.architecture.groups[0]) for s in found] == [
        (macs, groups) for macs in (38_000_000, 140_000_000) for groups in (1, 3)
    ]
    assert found[-1].architecture == PAPER_1X


def test_names_records_texts_and_numbers_are_the_same_to_solve() -> None:
    [budget], [space] = snsearch.budgets("paper-140"), snsearch.spaces("shufflenet-v1")
    by_name = snsearch.solve(budget="paper-140", groups=3, resolution="96x128", params="1.5M")
    assert by_name == snsearch.solve(budget=budget, space=space, groups=(3,), resolution=(96, 128), params=1_500_000)
    assert by_name[0].architecture.resolution == (96, 128)


def test_a_budget_that_some_networks_miss_names_them_and_keeps_the_others() -> None:
    with pytest.raises(InfeasibleBudgetError, match="with 64 groups") as caught:
        snsearch.solve(mflops=13, groups=(3, 64, 8))
    assert isinstance(caught.value, UnmetBudgetsError)
    assert [s.architecture.groups[0] for s in caught.value.found] == [3, 8]
    assert len(caught.value.reasons) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tight": True}, "need a budget"),
        ({"mflops": -1}, "expected MFLOPs between"),
        ({"mflops": 40, "params": "lots"}, "is not a quantity"),
        ({"mflops": 40, "space": "resnt"}, 'did you mean "resnet"'),
        ({"mflops": 40, "space": "all", "depth": "medium"}, "has no depth 'medium'"),
    ],
)
def test_what_solve_cannot_use_is_a_spec_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        snsearch.solve(**arguments)


# count


def test_count_takes_an_architecture_a_solution_or_a_key() -> None:
    [solution] = snsearch.solve(mflops=140, groups=3)
    counts = [snsearch.count(network) for network in (PAPER_1X, solution, PAPER_1X.key)]
    assert counts[0] == counts[1] == counts[2]
    assert (counts[0].macs, counts[0].conventions[0].total) == (137_460_672, 137_460_672)
    assert counts[0].checked is None


def test_count_checks_the_real_module_when_asked() -> None:
    checked = snsearch.count(SMALL, check=True).checked
    assert checked is not None
    assert checked.torch_macs == snsearch.count(SMALL).macs


# build


def test_build_makes_the_module_of_the_seed() -> None:
    module, again = snsearch.build(SMALL, seed=3), build_model(SMALL, 3)
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_build_changes_channels_and_classes_and_adapts_to_small_images() -> None:
    module = snsearch.build(SMALL.key, channels=1, classes=10, resolution=32).eval()
    assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert module.architecture == SMALL.at_input(channels=1, resolution=(32, 32), classes=10)
    kept = snsearch.build(SMALL, classes=10)
    assert (kept.architecture.stem_pool, kept.architecture.classes) == (SMALL.stem_pool, 10)


@pytest.mark.parametrize("features_only", [False, True])
def test_other_channels_are_refused_with_both_numbers(features_only: bool) -> None:
    module = snsearch.build(SMALL, features_only=features_only)
    with pytest.raises(ValueError, match="the network takes 3-channel images; these have 1"):
        module(torch.zeros(2, 1, 64, 64))


def test_features_are_the_outputs_of_the_stem_and_of_every_stage() -> None:
    network, features = build_model(SMALL).eval(), snsearch.build(SMALL, features_only=True).eval()
    assert isinstance(features, FeatureNetwork)
    assert (features.strides, features.channels) == ((4, 8, 16, 32), (8, 32, 64, 128))
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        outputs = features(x)
        assert [output.shape for output in outputs] == [
            (2, channels, 64 // stride, 96 // stride)
            for channels, stride in zip(features.channels, features.strides, strict=True)
        ]
        # The head on the last output gives the network's own logits: the weights are the same.
        head = network.get_submodule("head.classifier")(network.get_submodule("head.pool")(outputs[-1]))
        torch.testing.assert_close(head, network(x))
    assert not [name for name in features.state_dict() if name not in network.state_dict()]


def test_features_follow_the_networks_own_strides() -> None:
    features = snsearch.build(snsearch.solve(space="mobilenet-v1", mflops=13)[0], features_only=True)
    assert features.strides == (4, 8, 16, 32)


def test_features_are_exported_and_compiled() -> None:
    features = snsearch.build(SMALL, features_only=True).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = features(x)
        for made in (
            torch.export.export(features, (x,)).module(),
            torch.compile(features, backend="eager", fullgraph=True),
        ):
            assert all(torch.equal(a, b) for a, b in zip(made(x), expected, strict=True))


# predict


def test_predict_carries_interval_provenance_and_a_remark_beyond_what_the_profile_knows() -> None:
    [profile] = snsearch.profiles("snapdragon-820")
    usual, small = (snsearch.predict(s, profile=profile) for s in snsearch.solve(groups=3, scale=(1, 0.25)))
    assert usual.interval[0] < usual.ms < usual.interval[1]
    assert usual.ms == profile.predict(usual.architecture).ms
    assert usual.provenance == small.provenance == profile.provenance
    assert (usual.remark, "15.2 to 612.0 ms" in small.remark) == ("", True)
    by_key = snsearch.predict(usual.architecture.key)
    assert (by_key.ms, by_key.solution) == (usual.ms, None)


def test_profiles_are_found_by_name_and_misspelt_ones_are_refused() -> None:
    assert snsearch.profiles("snapdragon-810")[0] in snsearch.profiles()
    with pytest.raises(SpecError, match='did you mean "snapdragon-820"'):
        snsearch.predict(PAPER_1X, profile="snapdragon-82")


# records


def test_records_are_short_in_a_console() -> None:
    [solution] = snsearch.solve(mflops=140, groups=3)
    study = snsearch.load_study("reports/sample")
    counted, [known] = snsearch.count("alexnet"), snsearch.networks("alexnet")
    records = [
        *(solution, counted, counted.report, known, study, *study.trials, *snsearch.profiles("snapdragon-820")),
        *(snsearch.predict(solution), snsearch.compare("alexnet", solution), snsearch.count_population([solution])),
    ]
    assert [repr(one) for one in records if len(repr(one)) > 240] == []
    assert f"<study {study.name}: " in repr(study)
    assert f"best #{best_candidate(study).number} (" in repr(study)
    assert study.url in repr(study)


# notebooks


def test_notebooks_show_tables_with_escaped_text() -> None:
    [solution] = found = snsearch.solve(mflops=140, groups=3)
    assert "<td" in found._repr_html_()
    assert "240-480-960" in solution._repr_html_()
    predicted = snsearch.predict(solution)._repr_html_()
    assert "Snapdragon 820" in predicted
    assert "38.0" in predicted
    [profile] = snsearch.profiles("snapdragon-820")
    page = snsearch.predict(solution, profile=replace(profile, device="<b>mine</b>"))._repr_html_()
    assert "&lt;b&gt;mine" in page
    assert "<b>" not in page
