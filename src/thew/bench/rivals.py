"""Peers beside the plan that a search found: on the model as it is, and, where accuracy was allowed to be lost, on the
8-bit QDQ model that the search's calibration makes of it. All take turns, each in a process of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from thew.bench.rounds import Settings, measure
from thew.bench.tasks import ModelTask
from thew.compress import Method
from thew.compress.accuracy import Data
from thew.compress.observe import Progress, silent
from thew.compress.post_training import read
from thew.ir import Graph
from thew.onnx import export_onnx
from thew.search.prepare import PRECISIONS, calibrator_for, types_of
from thew.search.result import Result, Rival
from thew.search.trial import Samples

SETTINGS = Settings(rounds=15, turn_seconds=0.1)
_PLAN, _FOUND, _GIVEN, _INTEGERS = "found.plan.json", "found.onnx", "given.onnx", "int8.onnx"


def race(
    result: Result,
    model: str | Graph,
    peers: Sequence[str],
    data: Data | None = None,
    settings: Settings = SETTINGS,
    progress: Progress = silent,
) -> tuple[tuple[Rival, ...], Mapping[str, str]]:
    """Times peers beside a found plan.

    Args:
        result: whose plan it is; with its threads and its seed.
        model: as it was searched.
        peers: names of `thew.bench.PEERS`.
        data: the samples of the search, where peers are to run on integers, too.
        settings: rounds and length of a turn.
        progress: told after each turn.

    Returns:
        The peers, and why others could not take part.
    """
    source, chosen = read(model), result.settings
    types = types_of(source, data, {}, chosen["open_batch"])
    with tempfile.TemporaryDirectory(prefix="thew-rivals-") as name:
        folder = Path(name)
        result.plan.save(folder / _PLAN)
        export_onnx(source, folder / _GIVEN)
        export_onnx(result.model or source, folder / _FOUND)
        contenders = {f"thew:model={_FOUND}:plan={_PLAN}": "found", **{peer: f"{peer} fp32" for peer in peers}}
        if data is not None and (integers := _on_integers(source, data, chosen)) is not None:
            export_onnx(integers, folder / _INTEGERS)
            contenders |= {f"{peer}:model={_INTEGERS}": f"{peer} int8" for peer in peers}
        shapes = {name: (known.dtype, known.static_shape) for name, known in types.items()}
        task = ModelTask(chosen["threads"], chosen["seed"], name, str(folder / _GIVEN), shapes)
        turns, total = count(1), settings.rounds * len(contenders)
        found = measure(task, list(contenders), settings, lambda name: progress("peers", next(turns), total))
    rivals = [
        Rival(contenders[one.name], ", ".join(map(str, one.report["versions"].values())), one.median, one.ratio)
        for one in found.outcomes[1:]
    ]
    return tuple(rivals), {contenders[name]: reason for name, reason in found.absent.items()}


def _on_integers(source: Graph, data: Data, chosen: Mapping[str, object]) -> Graph | None:
    """The model with all its layers on integers; None where it is so already."""
    seed, threads = chosen["seed"], chosen["threads"]
    assert isinstance(seed, int) and isinstance(threads, int)
    calibrator = calibrator_for(source, Samples.split(data, seed).calibration, PRECISIONS, threads)
    return None if calibrator is None else calibrator.quantize((), Method(str(chosen["calibration"]))).graph
