"""Why a model takes the time it takes: its steps with the kernel of each, and what a run cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.ops.qlinear import RESIDUAL
from thew.plan.blocking import BLOCKINGS
from thew.runtime.device import peak_flops
from thew.runtime.executable import DeferredStage, Executable, NativeStage, PythonStage

_UNKNOWN = "?"
# What ops add to their product, by position among the inputs.
_ADDED: dict[str, dict[str, int]] = {
    "conv": {"bias": 2, "residual": 3},
    "matmul": {"bias": 2, "residual": 3},
    "scaled_matmul": {"bias": 2, "residual": 3},
    "qlinear_matmul": {"bias": 8},
    "qlinear_conv": {"bias": 8, "residual": RESIDUAL},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One step; the three measured fields are None where it was not timed or does no arithmetic. `threads` run it, of
    the plan's.
    """

    layer: str
    op: str
    algorithm: str
    precision: str
    shape: tuple[int, ...]
    seconds: float | None
    gflops_per_second: float | None
    share_of_peak: float | None
    moved_bytes: int
    fused: str
    note: str = ""
    threads: int = 1


@dataclass(frozen=True)
class Explanation:
    """The steps of an executable in order, and its memory."""

    rows: tuple[Row, ...]
    peak_memory_bytes: int
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=160, color_system=None)
        with console.capture() as capture:
            console.print(self.table())
        return str(capture.get()).rstrip()

    def table(self) -> Any:
        """A Rich table."""
        from rich.table import Table

        table = Table(caption=self._caption(), caption_justify="left")
        for name in ("layer", "op", "algorithm", "precision", "shape"):
            table.add_column(name, overflow="fold")
        for name in ("threads", "µs", "GFLOP/s", "% peak", "KB"):
            table.add_column(name, justify="right")
        table.add_column("fused / note")
        for row in self.rows:
            table.add_row(
                row.layer, row.op, row.algorithm, row.precision, "×".join(map(str, row.shape)), str(row.threads),
                _number(row.seconds, 1e6), _number(row.gflops_per_second), _number(row.share_of_peak, 100),
                f"{row.moved_bytes / 1e3:.0f}", " ".join(filter(None, (row.fused, row.note))),
            )  # fmt: skip
        return table

    def _caption(self) -> str:
        time = "" if self.seconds is None else f"{self.seconds * 1e3:.3f} ms, "
        return f"{time}peak memory {self.peak_memory_bytes / 1e6:.2f} MB (arena, scratch, weights)"


def _number(value: float | None, scale: float = 1.0) -> str:
    return "" if value is None else f"{value * scale:.1f}"


def explain(executable: Executable, rounds: int) -> Explanation:
    """Times every step on inputs of zeros (`rounds` runs, the fastest of each counts)."""
    rows = tuple(row for stage in executable.stages for row in _rows(stage, rounds))
    timed = [row.seconds for row in rows if row.seconds is not None]
    return Explanation(rows, executable.peak_memory_bytes, sum(timed) if timed else None)


def _rows(stage: Any, rounds: int) -> Iterator[Row]:
    if isinstance(stage, NativeStage):
        yield from _native_rows(stage, rounds)
    elif isinstance(stage, PythonStage):
        name = stage.node.name or stage.node.outputs[0]
        yield Row(name, stage.node.op, "python", _UNKNOWN, (), None, None, None, 0, "", f"Python step: {stage.reason}")
    elif isinstance(stage, DeferredStage):
        for node in stage.graph.nodes:
            name = node.name or node.outputs[0]
            yield Row(
                name,
                node.op,
                "deferred",
                _UNKNOWN,
                (),
                None,
                None,
                None,
                0,
                "",
                "planned when the data before it are known",
            )


def _native_rows(stage: NativeStage, rounds: int) -> Iterator[Row]:
    arrays = [
        np.zeros(value.type.static_shape, to_numpy(value.type.dtype))
        for value in (*stage.plan.inputs, *stage.plan.outputs)
    ]
    runs = [stage.program.profile(tuple(arrays)) for _ in range(rounds)]
    best = np.min(runs, axis=0) if runs else [None] * len(stage.plan.steps)
    for step, seconds in zip(stage.plan.steps, best, strict=True):
        precision = next((view.dtype for view in (*step.inputs, *step.outputs) if view is not None), "")
        rate = None if seconds is None or step.flops == 0 or seconds == 0 else step.flops / seconds / 1e9
        threads = step.attributes.get("threads", stage.plan.threads)
        peak = None if rate is None else peak_flops(precision, threads)
        share = None if rate is None or not peak else rate * 1e9 / peak
        yield Row(
            step.name, step.op, step.algorithm, precision, step.outputs[0].shape,
            None if seconds is None else float(seconds), rate, share, step.moved_bytes, _fused(step), _note(step),
            threads,
        )  # fmt: skip


def _note(step: Any) -> str:
    cuts = step.attributes.get("blocking")
    return "" if cuts is None else next((f"blocking: {name}" for name, known in BLOCKINGS.items() if known == cuts), "")


def _fused(step: Any) -> str:
    if step.stages:
        return " → ".join(_fused(stage) or stage.op for stage in step.stages)
    parts = [
        what
        for what, position in _ADDED.get(step.op, {}).items()
        if position < len(step.inputs) and step.inputs[position] is not None
    ]
    clamps = step.op.startswith("qlinear_") and {"low", "high"} & step.attributes.keys()
    activation = step.attributes.get("activation", "") or ("clip" if clamps else "")
    return " + ".join([*parts, *([activation] if activation else [])])
