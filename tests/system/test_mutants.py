"""A few hundred spoiled models and plans: each runs or ends in a `thew.Error`. `tests/fuzz/mutants.py` and
`tests/fuzz/plans.py` run as many as one wants.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, script: str = "mutants.py") -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_small_models() -> None:
    run("--count", "250", "--seed", "7")


def test_real_models(shared_data: Path) -> None:
    run("--count", "80", "--seed", "8", "--models", str(shared_data / "models"))


def test_plans() -> None:
    run("--count", "150", "--seed", "7", script="plans.py")


def test_a_failure_is_seen(tmp_path: Path) -> None:
    """The harness itself: a child that dies or raises is reported with the mutant's number."""
    broken = tmp_path / "thew"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        "import os\n"
        "class Error(Exception): pass\n"
        "class InferenceSession:\n"
        "    count = 0\n"
        "    def __init__(self, *_, **__):\n"
        "        type(self).count += 1\n"
        "        if self.count == 4: raise KeyError('untyped')\n"
        "        if self.count == 6: os.abort()\n"
        "        raise Error\n"
    )
    (broken / "ops.py").write_text("class control: pass\n")
    (broken / "__init__.py").write_text(
        (broken / "__init__.py").read_text().replace("raise Error\n", "if self.count > 1: raise Error\n")
    )
    script = ROOT / "tests" / "fuzz" / "mutants.py"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(script), "--count", "8", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "mutant 2 " in done.stdout and "KeyError" in done.stdout
    assert "mutant 4 " in done.stdout and "crash" in done.stdout
