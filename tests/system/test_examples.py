"""Every example at small scale, as a user would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thew
from thew import nn

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, folder, *arguments, launch=()):
    command = [*launch, sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = {**os.environ, "THEW_DATA": str(folder), "PYTHONPATH": str(Path(thew.__file__).parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """Bars at places that tell the class, in the forms of MNIST and of CIFAR-10."""
    random = np.random.default_rng(0)
    for name, size, planes in (("mnist", 28, ()), ("cifar10", 32, (3,))):
        y = random.permutation(np.arange(160) % 10)
        x = random.integers(0, 60, (160, *planes, size, size)).astype(np.uint8)
        for picture, label in zip(x, y, strict=True):
            picture[..., 2 * label + 3 : 2 * label + 7, :] = 255
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_test=x[:40], y_test=y[:40])
    return tmp_path


def test_cifar10(folder):
    assert "val_accuracy" in run("cifar10.py", folder, 1)
    assert (folder / "vgg11.ckpt").exists()


def test_fine_tune(folder):
    """A net of ten classes learns two others: which colour."""
    Image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(0)
    for plane, name in ((0, "red"), (2, "blue")):
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(12):
            picture = random.integers(0, 100, (20, 20, 3)).astype(np.uint8)
            picture[:, :, plane] += 120
            Image.fromarray(picture).save(folder / "pictures" / name / f"{index}.png")
    with nn.init.seeded(1):
        layers = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        thew.export_onnx(nn.Sequential(*layers, nn.Linear(16, 10)), folder / "net.onnx", input_shape=("n", 3, 16, 16))
    assert "blue, red" in run("fine_tune.py", folder, "net.onnx", "pictures", 12)
    session = thew.InferenceSession(str(folder / "tuned.onnx"))
    train = thew.data.ImageFolder(folder / "pictures", size=(16, 16))
    x, y = train.take(np.arange(24), 0)
    (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    assert scores.shape == (24, 2) and np.mean(scores.argmax(1) == y) > 0.8


def test_continual(folder):
    told = run("continual.py", folder, 16)
    assert len(re.findall(r"after digit \d", told)) == 10
    # 59 MB with a megabyte of plans, Python and NumPy 24 of them; other builds of those take more.
    assert int(re.search(r"took (\d+) MB", told)[1]) < 96


def test_distributed(folder, monkeypatch):
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if launcher is None:
        pytest.skip("mpirun is not there")
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    assert run("distributed.py", folder, 1, launch=(launcher, "-n", "2")).startswith("2 processes: ")
    assert thew.Trainer.resume(folder / "lenet5.ckpt").counters.epochs == 1
