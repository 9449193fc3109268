"""Exports: every format computes what torch computes, and a folder appears whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from filelock import FileLock
from PIL import Image

import snsearch
from snsearch.engine.ncnn_source import ncnn_source
from snsearch.engine.opened import open_onnx
from snsearch.engine.python_runner import model_input
from snsearch.errors import DataError, DeviceError, ExportError, SpecError, StudyError
from snsearch.exports import formats
from snsearch.exports.checking import PARITY
from snsearch.exports.exporting import Export
from snsearch.exports.subject import Subject, subject_of
from snsearch.exports.torch_source import torch_source
from snsearch.files import bundled_names
from snsearch.network.known.catalogue import network_of
from snsearch.network.known.named import AnyNetwork
from snsearch.network.torch_model import Network, build_model
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space
from snsearch.training.data import Dataset
from snsearch.training.weights_file import write_weights
from tests.architectures import shufflenet
from tests.exports.networks import SMALL
from tests.runners import CACHE

FORMATS = tuple(formats.FORMATS)
FILES = {
    "onnx": ["model.onnx"],
    "ncnn": ["model.bin", "model.param"],
    "torch": ["model.py", "model.safetensors"],
    "pt2": ["model.pt2"],
    "litert": ["model.tflite"],
    "executorch": ["model.pte"],
}
BUDGET = Budget(name="small", macs=1, resolution=(33, 47), classes=5)


def networks() -> dict[str, AnyNetwork]:
    """A small network of every space with and without SE, at an odd input size; and SE and groups per stage."""
    found: dict[str, AnyNetwork] = {"per stage": SMALL}
    for name, side in (("mobilenet-v3-small", 33), ("shufflenet-v2-0.5x", 40), ("squeezenet-1.1", 65)):
        found[name] = network_of(name).at_input(channels=3, resolution=(side, 47), classes=5)
    for name in bundled_names("spaces"):
        space = load_space(name)
        groups = max({*space.groups, *space.search_groups})
        for se in (False, True) if "se" in space.options else (False,):
            design = Design(groups=groups, scale=0.25, depth="shallow", se=se)
            found[f"{name}{' SE' if se else ''}"] = scaled(space, design, BUDGET).architecture
    return found


# torch.export and the converters run the module itself: a few networks are enough for the seconds that each takes.
FEW = {
    "pt2": ("per stage", "resnext"),
    "litert": ("per stage", "mobilenet-v3-small", "shufflenet-v2-0.5x"),
    "executorch": ("per stage",),
}


def marked(to: str, *more: str) -> Any:
    """A parameter; a converter takes half a minute."""
    return pytest.param(to, *more, marks=[pytest.mark.long] if to in ("litert", "executorch") else [])


@pytest.mark.long
@pytest.mark.parametrize(("to", "name"), [marked(to, name) for to in FORMATS for name in FEW.get(to, networks())])
def test_every_space_s_network_computes_what_torch_computes(to: str, name: str, tmp_path: Path) -> None:
    made = snsearch.export(networks()[name], to, tmp_path / "out")
    assert made.parity.max_difference <= PARITY
    assert (made.parity.argmax_agreement, made.parity.images, made.accuracy) == (1, 0, None)
    assert [file.name for file in made.files] == [*FILES[to], "card.json", "card.md"]
    assert all(file.is_file() for file in made.files)
    assert made.bytes == sum((tmp_path / "out" / name).stat().st_size for name in FILES[to])


@pytest.fixture(scope="module", params=[marked(to) for to in FORMATS])
def exported(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The trained network in each format, checked on digits."""
    return snsearch.export(trained, request.param, tmp_path_factory.mktemp("out") / "out", data="digits")


def test_a_trained_network_keeps_its_accuracy(exported: Export) -> None:
    made = exported
    assert made.parity.images == 179
    assert made.parity.max_difference <= PARITY
    assert made.accuracy is not None
    assert made.accuracy.torch > 0.6
    assert abs(made.accuracy.torch - made.accuracy.exported) <= 0.001
    assert made.card["trained"]
    assert made.card["training"]["recipe"] == "test"
    assert made.card["input"]["normalised_by"] == "the weights file"


def test_evaluate_finds_the_same_accuracy_in_the_exported_file(exported: Export) -> None:
    assert exported.accuracy is not None
    for named in (exported.files[0].parent, exported.files[0]):
        found = snsearch.evaluate(named, "digits")
        assert (found.images, 1 - found.error) == (179, pytest.approx(exported.accuracy.exported))


@pytest.mark.long
def test_the_card_s_example_classifies_an_image_without_snsearch(
    exported: Export, trained: Path, digits: Dataset, tmp_path: Path
) -> None:
    folder = exported.files[0].parent
    [example] = re.findall(r"^```python\n(.*?)^```$", (folder / "card.md").read_text("utf-8"), re.M | re.S)
    (folder / "example.py").write_text(example, encoding="utf-8")
    assert "snsearch" not in example
    blocked = "import sys; sys.modules['snsearch'] = None; sys.path.insert(0, '.')\n"
    subject = subject_of(SMALL, trained)
    for index in (0, 1):
        pixels = digits.test.pixels[index, 0].numpy()
        Image.fromarray(pixels).save(tmp_path / "image.png")
        ran = subprocess.run(
            [sys.executable, "-c", blocked + "exec(open('example.py').read())", str(tmp_path / "image.png")],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        expected = subject.logits(subject.normalise(pixels[None, None])).argmax()
        assert ran.stdout.strip().splitlines()[-1] == str(expected)


def test_the_torch_file_reads_as_the_weights_of_the_same_network(trained: Path, tmp_path: Path) -> None:
    snsearch.export(trained, "torch", tmp_path / "one")
    again = snsearch.export(tmp_path / "one" / "model.safetensors", "torch", tmp_path / "two")
    for name in FILES["torch"]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert again.card["training"]["data"] == "digits"


def test_weights_alone_must_say_whose_they_are(trained: Path, tmp_path: Path) -> None:
    state = build_model(SMALL).state_dict()
    torch.save(state, tmp_path / "w.pt")
    write_weights(tmp_path / "w.safetensors", state)
    for name in ("w.pt", "w.safetensors"):
        with pytest.raises(SpecError, match="do not say which network they are of; give its key"):
            snsearch.export(tmp_path / name, "onnx", tmp_path / "out")
        made = snsearch.export(SMALL.key, "onnx", tmp_path / name.replace(".", "-"), weights=tmp_path / name)
        assert made.card["trained"]
    with pytest.raises(SpecError, match="is a weights file already"):
        snsearch.export(trained, "onnx", tmp_path / "out", weights=trained)
    with pytest.raises(SpecError, match=r"stem\.conv\.conv\.weight is 8x1x3x3, the network's is 12x1x3x3"):
        snsearch.export(replace(SMALL, stem_channels=12), "onnx", tmp_path / "out", weights=trained)


def test_names_in_the_torch_file_cannot_be_code() -> None:
    odd = ['"""', "a'b", "\\", "\n", "{x}"]
    source = torch_source(
        replace(SMALL, classes=5), weights="w.safetensors", mean=[1.5], std=[2.0], classes=odd, version="1"
    )
    names: dict[str, Any] = {"__file__": "/model.py", "__name__": "model"}
    exec(compile(source, "model.py", "exec"), names)
    assert names["CLASSES"] == odd
    assert set(names["Network"]().state_dict()) == set(build_model(replace(SMALL, classes=5)).state_dict())


def test_onnx_takes_any_number_of_images_and_says_what_it_is(trained: Path, tmp_path: Path) -> None:
    snsearch.export(trained, "onnx", tmp_path / "folded")
    snsearch.export(trained, "onnx", tmp_path / "kept", keep_batch_norm=True)
    runs = {}
    for name, norms in (("folded", 0), ("kept", 19)):
        model = onnx.load(tmp_path / name / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == 13
        properties = {one.key: one.value for one in model.metadata_props}
        assert properties["key"] == SMALL.key
        assert json.loads(properties["classes"]) == list("0123456789")
        assert len(json.loads(properties["mean"])) == len(json.loads(properties["std"])) == 1
        assert sum(node.op_type == "BatchNormalization" for node in model.graph.node) == norms
        runs[name] = open_onnx(tmp_path / name / "model.onnx")
    images = model_input((3, 1, 16, 16), seed=4)
    for run in runs.values():
        assert run(images).shape == (3, 10)
        assert np.allclose(run(images)[:1], run(images[:1]), atol=1e-5)
    assert np.allclose(runs["folded"](images), runs["kept"](images), atol=1e-4)


def test_only_onnx_can_keep_batch_norm(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="ncnn has batch norm folded into convolutions; only onnx can keep it"):
        snsearch.export(SMALL, "ncnn", tmp_path / "out", keep_batch_norm=True)


def test_a_failed_check_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(
        formats.FORMATS["onnx"], open=lambda folder: lambda images: np.zeros((len(images), 10), np.float32)
    )
    monkeypatch.setitem(formats.FORMATS, "onnx", wrong)
    with pytest.raises(ExportError, match=r"differ from torch by 1\.0e\+00 of the largest logit on random inputs"):
        snsearch.export(SMALL, "onnx", tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setitem(formats.FORMATS, "pt2", replace(formats.FORMATS["pt2"], open=interrupted))
    with pytest.raises(KeyboardInterrupt):
        snsearch.export(SMALL, "pt2", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_needs_force_and_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty; name another folder, or add --force"):
        snsearch.export(SMALL, "onnx", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    snsearch.export(SMALL, "onnx", tmp_path, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "model.onnx", "card.json", "card.md"}
    snsearch.export(SMALL, "pt2", tmp_path, force=True)  # the earlier export goes, as its card says
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "model.pt2", "card.json", "card.md"}
    with pytest.raises(ExportError, match="is no folder"):
        snsearch.export(SMALL, "onnx", tmp_path / "mine.txt", force=True)


def test_an_unknown_format_and_a_missing_engine_say_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExportError, match="format 'onx'; did you mean \"onnx\""):
        snsearch.export(SMALL, "onx", tmp_path / "out")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for to, extra in (("onnx", "onnxruntime"), ("ncnn", "ncnn"), ("litert", "litert"), ("executorch", "executorch")):
        with pytest.raises(ExportError, match=rf'pip install "snsearch\[{extra}\]"'):
            snsearch.export(SMALL, to, tmp_path / "out")


def test_formats_of_torch_need_no_engine(tmp_path: Path) -> None:
    engines = ["onnx", "onnxruntime", "ncnn", "ai_edge_litert", "litert_torch", "executorch"]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({engines}))\n"
    call = f"import snsearch; snsearch.export({SMALL.key!r}, 'torch', {str(tmp_path / 'out')!r})"
    subprocess.run([sys.executable, "-c", blocked + call], capture_output=True, timeout=600, check=True)
    assert (tmp_path / "out" / "model.py").is_file()


def test_data_of_another_kind_is_refused(tmp_path: Path, trained: Path) -> None:
    for changed, message in (
        ({"input_channels": 3}, "digits has 1-channel images; the network takes 3 channels"),
        ({"classes": 7}, "digits has 10 classes; the network has 7"),
        ({"resolution": (16, 24)}, "the network takes 16x24 pixels"),
    ):
        with pytest.raises(DataError, match=message):
            snsearch.export(replace(SMALL, **changed), "onnx", tmp_path / "out", data="digits")
    with pytest.raises(DataError, match="no such folder"):
        snsearch.export(SMALL, "onnx", tmp_path / "out", data="./nowhere")
    with pytest.raises(DeviceError, match="is counted, and has no latency"):
        snsearch.export(SMALL, "onnx", tmp_path / "out", device="counted://cortex-a72")


def test_a_trial_exports_random_weights_and_its_search_s_error(tmp_path: Path) -> None:
    made = snsearch.export("reports/sample#3", "onnx", tmp_path / "out")
    study = snsearch.load_study("reports/sample")
    trial = study.trials[3]
    assert trial.architecture is not None
    assert made.card["key"] == trial.architecture.key
    assert made.card["weights"] == "random, from seed 0: the network is not trained"
    search = made.card["search"]
    low, high = search["error"]["interval"]
    assert low < search["error"]["value"] < high
    assert search["error"]["seeds"] == len(trial.results)
    assert "were not kept" in search["error"]["of"]
    assert made.card["commands"][0][:2] == ["snsearch", "search"]
    assert made.card["data"]["licences"] == {"fashion-mnist": "MIT"}
    text = (tmp_path / "out" / "card.md").read_text("utf-8")
    assert "**These weights are random.**" in text
    with pytest.raises(StudyError, match="has no trial #999; its trials are #0 to #"):
        snsearch.export("reports/sample#999", "onnx", tmp_path / "other")
    with pytest.raises(StudyError, match="there is no study 'reports/nope'"):
        snsearch.export("reports/nope", "onnx", tmp_path / "other")


def test_a_study_alone_exports_its_best_candidate(tmp_path: Path) -> None:
    made = snsearch.export("reports/sample", "torch", tmp_path / "out")
    assert made.card["key"] in {trial.architecture.key for trial in snsearch.load_study("reports/sample").trials
                                if trial.architecture is not None and trial.finals}  # fmt: skip


def test_seeds_give_other_weights_and_the_same_seed_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        snsearch.export(SMALL, "onnx", tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name / "model.onnx").read_bytes() for name in "abc")
    assert a == b != c


def test_the_latency_on_this_host_is_in_the_card(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SNSEARCH_EMULATED", "a test")  # whose time means nothing: every step once
    made = snsearch.export(trained, "ncnn", tmp_path / "out", device="local")
    [latency] = made.card["latency"]
    assert latency["ms"] is None
    assert latency["provenance"].startswith("emulated: not a latency")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_prints_what_it_found(form: str, trained: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    outcome = run(
        "export", SMALL.key, "--to", "onnx", "--out", str(tmp_path / "out"), "--weights", str(trained),
        "--data", "digits", "--images", "50", "--format", form,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    if form == "text":
        assert "accuracy: torch " in outcome.out
        return
    document = json.loads(outcome.out)
    assert document["files"][0] == str(tmp_path / "out" / "model.onnx")
    assert set(document["parity"]) == {"max_difference", "argmax_agreement", "images"}
    assert document["parity"]["images"] == 50
    assert set(document["accuracy"]) == {"torch", "exported"}
    assert document["bytes"] == (tmp_path / "out" / "model.onnx").stat().st_size
    card = json.loads((tmp_path / "out" / "card.json").read_text("utf-8"))
    words = card["commands"][-1]
    assert words[:3] == ["snsearch", "export", SMALL.key]
    assert run(*words[1:], "--force").code == 0


def test_a_solution_s_file_is_one_network(tmp_path: Path, run: Callable[..., Any]) -> None:
    solved = run(
        "solve", "--mflops", "1", "--groups", "2", "--resolution", "64", "--classes", "5", "--format", "json"
    )
    (tmp_path / "one.json").write_text(solved.out, encoding="utf-8")
    command = (
        "export",
        str(tmp_path / "one.json"),
        "--to",
        "pt2",
        "--out",
        str(tmp_path / "out"),
        "--format",
        "json",
    )
    outcome = run(*command)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["accuracy"] is None
    assert run(*command).code == 9
    assert run(*command[:3], "tflite").code == 2


def test_a_module_is_a_subject_in_evaluation_mode(trained: Path) -> None:
    subject = subject_of(SMALL, trained)
    assert isinstance(subject, Subject)
    assert isinstance(subject.module, Network)
    assert not subject.module.training
    with pytest.raises(SpecError, match="computes something else"):
        subject_of(replace(SMALL, stem_stride=2), trained)
    assert subject_of(replace(SMALL, resolution=(24, 24)), trained).mean == subject.mean


@pytest.mark.board  # needs ncnn's sources, as the ARM runner does
def test_the_card_s_c_plus_plus_compiles(trained: Path, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed (apt-get install g++)")
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{CACHE / 'ncnn-source'}.lock"):
            source = ncnn_source(CACHE) / "src"
    except DeviceError as error:
        pytest.skip(str(error))
    headers = tmp_path / "headers"  # what cmake would make
    headers.mkdir()
    switches = (source / "platform.h.in").read_text("utf-8")
    on = {"NCNN_STDIO", "NCNN_STRING", "NCNN_PIXEL"}
    defined = re.sub(r"#cmakedefine01 (\w+)", lambda one: f"#define {one[1]} {int(one[1] in on)}", switches)
    (headers / "platform.h").write_text(re.sub(r"#cmakedefine (\w+).*", "", defined), encoding="utf-8")
    (headers / "ncnn_export.h").write_text("#define NCNN_EXPORT\n", encoding="utf-8")
    for network in (trained, shufflenet(2, 16, stem=8)):
        snsearch.export(network, "ncnn", tmp_path / "out", force=True)
        [example] = re.findall(r"^```cpp\n(.*?)^```$", (tmp_path / "out" / "card.md").read_text("utf-8"), re.M | re.S)
        (tmp_path / "example.cpp").write_text(example, encoding="utf-8")
        command = ["g++", "-std=c++11", "-fsyntax-only", f"-I{headers}", f"-I{source}", "example.cpp"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
