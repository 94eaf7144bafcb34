"""The standard `onnx.backend.test` suite, every CPU case of it, as the suite defines it.

The counts are ratchets: what passes today must pass tomorrow. `OWN_FLOOR` counts the cases that run on Thew's ops
alone; the others need ONNX's reference for some operator, and say nothing about Thew beyond that it hands values over.
"""

from __future__ import annotations

import contextlib
import io
import unittest
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")

FLOOR = 2020  # of the 2033 of onnx 1.23
OWN_FLOOR = 1850
CASES_KNOWN = (1, 23)  # the release of onnx that the floors are for

# Cases whose expected outputs hold random numbers that the suite drew without a seed: no backend can pass them.
RANDOM = ("bernoulli",)


@pytest.fixture(scope="module")
def suite() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own overflow warnings while it makes its data
        from onnx.backend.test import BackendTest

        yield BackendTest


class Recorder:
    """A backend that notes for each model whether all its ops are Thew's own."""

    def __init__(self) -> None:
        self.is_own = True

    def backend(self) -> Any:
        from thew.onnx import read
        from thew.onnx.backend import ThewBackend, ThewRep
        from thew.runtime import InferenceSession

        recorder = self

        class RecordingBackend(ThewBackend):
            @classmethod
            def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> ThewRep:
                graph = read(model)
                recorder.is_own = not any(node.op.startswith("onnx") for node in graph.nodes)
                return ThewRep(InferenceSession(graph, **options))

        return RecordingBackend


def run_case(case: Any) -> str | None:
    """None where the case passes, else why not."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            case(None)
    except unittest.SkipTest as error:
        return f"skipped: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return None


def test_suite(suite: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("ONNX_HOME", str(tmp_path))
    monkeypatch.setattr(suite, "download_model", _refuse_download)
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = suite(recorder.backend(), __name__).tests
        names = [name for name in dir(tests) if name.startswith("test_") and not name.endswith("_cuda")]
        causes: dict[str, list[str]] = defaultdict(list)
        counts: Counter[str] = Counter()
        for name in names:
            recorder.is_own = True
            cause = run_case(getattr(tests, name))
            if cause is None:
                counts["own" if recorder.is_own else "foreign"] += 1
            else:
                causes[_kind(name, cause)].append(name)
    passed = counts["own"] + counts["foreign"]
    with capsys.disabled():
        print(f"\nonnx.backend.test: {passed} of {len(names)} pass, {counts['own']} of them on Thew's ops alone")
        for cause, failing in sorted(causes.items(), key=lambda item: -len(item[1])):
            print(f"  {len(failing):3d}  {cause}: {', '.join(failing[:4])}{', …' if len(failing) > 4 else ''}")
    if tuple(map(int, onnx.__version__.split(".")[:2])) == CASES_KNOWN:
        assert passed >= FLOOR, f"{passed} cases pass, {FLOOR} did before"
        assert counts["own"] >= OWN_FLOOR, f"{counts['own']} cases pass on Thew's ops alone, {OWN_FLOOR} did before"
    assert passed >= 1455 / 2033 * len(names)


def _refuse_download(**_: Any) -> None:
    raise OSError("models are not downloaded by this test")


def _kind(name: str, cause: str) -> str:
    if any(word in name for word in RANDOM):
        return "expected outputs are random numbers"
    return cause
