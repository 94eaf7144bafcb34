"""One network in fp32 and on 8-bit integers, Thew's and ONNX Runtime's: accuracy on samples that nobody calibrated on,
and times of one sample, taken in turn.

ONNX Runtime's own static quantisation stands for what is usual: QDQ, min-max, weights by channel, uint8 by int8.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from thew.compress import Outcome
from thew.compress.accuracy import Accuracy, Data, right_answers
from thew.ir import Graph
from thew.ir.graph import Array
from thew.onnx import export_onnx
from thew.runtime.session import InferenceSession

Run = Callable[[Array], Array]


@dataclass(frozen=True)
class Contestant:
    """A way to run the network.

    Attributes:
        name: of it.
        accuracy: on the held-out samples.
        rounds_seconds: of one sample, round by round.
        model_bytes: of its weights' file.
    """

    name: str
    accuracy: Accuracy
    rounds_seconds: tuple[float, ...]
    model_bytes: int

    def to_dict(self, first: Contestant) -> dict[str, Any]:
        """As JSON takes it; the ratio is the first one's time over this one's, the median of the rounds' ratios."""
        ratios = np.divide(first.rounds_seconds, self.rounds_seconds)
        return {
            "name": self.name,
            "accuracy": self.accuracy.share,
            "interval": list(self.accuracy.interval),
            "samples": self.accuracy.asked,
            "median_seconds": float(np.median(self.rounds_seconds)),
            "minimum_seconds": float(np.min(self.rounds_seconds)),
            "speed_over_first": float(np.median(ratios)),
            "model_bytes": self.model_bytes,
        }


def compete(
    graph: Graph, outcome: Outcome, calibration: Data, held_out: Data, threads: int, rounds: int
) -> tuple[list[Contestant], str]:
    """Thew in fp32 and on integers, and ONNX Runtime in both, in this order; and why the last are not there, if not.

    Args:
        graph: the float network, of one input.
        outcome: what became of it.
        calibration: what the peer is calibrated on too.
        held_out: what accuracy is measured on.
        threads: of each.
        rounds: of the timing; each gives everybody one turn.
    """
    with tempfile.TemporaryDirectory(prefix="thew-bench-") as name:
        folder = Path(name)
        export_onnx(graph, folder / "float.onnx")
        outcome.save(folder / "integers.onnx")
        runs: dict[str, Run] = {"thew fp32": _thew(graph, threads), "thew int8": _thew(outcome.graph, threads)}
        files = {"thew fp32": folder / "float.onnx", "thew int8": folder / "integers.onnx"}
        absent = _add_peers(runs, files, folder, graph, calibration, threads)
        one = batch_of(graph, 1)
        times = _in_turn(runs, held_out.x[:one], rounds)
        batch = batch_of(graph, 8)
        found = [
            Contestant(
                name,
                _count(right_answers(run, held_out, batch, batch != 8)),
                tuple(times[name]),
                files[name].stat().st_size,
            )
            for name, run in runs.items()
        ]
        return found, absent


def _add_peers(
    runs: dict[str, Run], files: dict[str, Path], folder: Path, graph: Graph, calibration: Data, threads: int
) -> str:
    """Adds ONNX Runtime in both precisions; says why where it cannot take part."""
    try:
        runs["onnxruntime fp32"] = _peer(folder / "float.onnx", threads)
        files["onnxruntime fp32"] = folder / "float.onnx"
        _quantise_by_peer(folder, graph.inputs[0].name, calibration, batch_of(graph, 1))
        runs["onnxruntime int8"] = _peer(folder / "peer.onnx", threads)
        files["onnxruntime int8"] = folder / "peer.onnx"
    except Exception as error:  # its tools raise what they like
        return f"onnxruntime: {type(error).__name__}: {error}"
    return ""


def batch_of(graph: Graph, otherwise: int) -> int:
    """How many samples the network takes at a time, where it says so."""
    first = (graph.inputs[0].type.shape or ("n",))[0]
    return first if isinstance(first, int) else otherwise


def _count(answers: np.ndarray) -> Accuracy:
    return Accuracy(int(answers.sum()), len(answers))


def _in_turn(runs: Mapping[str, Run], x: Array, rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(x)
    for _ in range(rounds):
        for name, run in runs.items():
            run(x)  # brings its own weights into the caches again
            started = perf_counter()
            for _ in range(3):
                run(x)
            times[name].append((perf_counter() - started) / 3)
    return times


def _thew(graph: Graph, threads: int) -> Run:
    session = InferenceSession(graph, threads=threads)
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def _peer(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def _quantise_by_peer(folder: Path, name: str, samples: Data, batch: int) -> None:
    """Writes what ONNX Runtime's own tools make of the float network."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(samples.x) - batch + 1, batch)
            self._rest = iter([{name: samples.x[start : start + batch]} for start in starts])

        def get_next(self) -> dict[str, Array] | None:
            return next(self._rest, None)

    quant_pre_process(folder / "float.onnx", folder / "folded.onnx", skip_symbolic_shape=True)
    quantize_static(
        folder / "folded.onnx",
        folder / "peer.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
