"""The public surface: names, arguments and defaults are a contract that others rely on."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import thew

SOURCE = Path(thew.__file__).parent

SIGNATURES = {
    "thew.InferenceSession": ["model", "threads", "precision", "plan"],
    "thew.InferenceSession.run": ["self", "output_names", "feeds"],
    "thew.export_onnx": ["model", "path", "input_shape"],
    "thew.from_onnx": ["source"],
    "thew.nn.Conv2d": [
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "bias",
        "padding_mode",
    ],
    "thew.nn.ConvTranspose2d": [
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "output_padding",
        "groups",
        "bias",
        "dilation",
    ],
    "thew.nn.Linear": ["in_features", "out_features", "bias"],
    "thew.nn.BatchNorm2d": ["num_features", "eps", "momentum", "affine"],
    "thew.nn.MaxPool2d": ["kernel_size", "stride", "padding", "dilation", "ceil_mode"],
    "thew.nn.AvgPool2d": ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"],
    "thew.nn.Flatten": ["start_dim", "end_dim"],
    "thew.nn.Dropout": ["p", "inplace"],
    "thew.Trainer": ["model", "loss", "optimizer", "input_shape", "precision", "threads", "seed"],
    "thew.Trainer.step": ["self", "x", "y"],
    "thew.models.resnet50": ["num_classes"],
    "thew.models.vgg11": ["num_classes"],
    "thew.models.mobilenet_v2": ["num_classes"],
    "thew.quantize": ["model", "data"],
    "thew.prune": ["model", "ratio"],
}
ATTRIBUTES = {
    "thew.InferenceSession": ["get_inputs", "get_outputs", "run", "explain", "peak_memory_bytes", "plan"],
    "thew.nn.Module": ["named_parameters", "state_dict", "load_state_dict", "train", "eval", "graph", "forward"],
    "thew.models": [
        "lenet5",
        "vgg11",
        "vgg16",
        "resnet18",
        "resnet34",
        "resnet50",
        "mobilenet_v1",
        "mobilenet_v2",
        "squeezenet1_1",
        "nature_cnn",
    ],
    "thew.onnx.backend": ["prepare", "run_model", "supports_device"],
    "thew.Error": ["__init__"],
}
PUBLIC = [
    "thew",
    "thew.bench",
    "thew.cli",
    "thew.compress",
    "thew.data",
    "thew.ir",
    "thew.models",
    "thew.nn",
    "thew.onnx",
    "thew.ops",
    "thew.optim",
    "thew.train",
]


def find(path):
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


@pytest.mark.parametrize("path", SIGNATURES)
def test_arguments(path):
    names = list(inspect.signature(find(path)).parameters)
    assert names[: len(SIGNATURES[path])] == SIGNATURES[path]


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_attributes(path):
    missing = [name for name in ATTRIBUTES[path] if not hasattr(find(path), name)]
    assert not missing


@pytest.mark.parametrize("module", PUBLIC)
def test_what_is_listed_exists_and_is_sorted(module):
    found = importlib.import_module(module)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []
    assert len(set(found.__all__)) == len(found.__all__)


def test_every_listed_name_has_a_docstring():
    for module in PUBLIC:
        found = importlib.import_module(module)
        for name in found.__all__:
            value = getattr(found, name)
            if inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value):
                assert value.__doc__, f"{module}.{name}"


def test_files_open_with_what_they_hold():
    bare = [
        path
        for path in SOURCE.rglob("*.py")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert [str(path.relative_to(SOURCE)) for path in bare if path.name != "_version.py"] == []


def test_no_rubbish_names():
    rubbish = {"utils", "helpers", "common", "misc", "manager", "util", "helper"}
    assert [str(path) for path in SOURCE.rglob("*") if rubbish & set(path.stem.split("_"))] == []


def test_importing_thew_imports_little():
    heavy = ("onnx", "rich", "typer", "PIL", "torch", "thew.runtime", "thew.nn", "thew.models", "thew.plan", "thew.cli")
    code = f"import sys, thew; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_package_is_typed():
    assert (SOURCE / "py.typed").exists()
