"""Where the time of a run goes: by step, by kernel and by thread, and as a trace that Perfetto and Chrome show.

Times are of traced runs: each worker notes when it begins and ends a tile or a phase of it (packing, transforming,
computing, where the kernel tells). A step lasts from the first note of it to the last; the fastest run counts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from thew.files import write_atomically
from thew.plan import Step
from thew.runtime.device import peak_flops
from thew.runtime.executable import DeferredStage, Executable, NativeStage, PythonStage, Stage
from thew.runtime.native import PHASES, Span


@dataclass(frozen=True)
class Work:
    """What was done by a layer or by a kernel.

    Attributes:
        seconds: from begin to end.
        flops_per_second: None where it does no arithmetic.
        share_of_peak: of the multiply-add peak of its precision with all threads.
        moved_bytes: bytes that had to be read and written at the least.
        phases: share of the workers' time in each of "compute", "pack", "transform".
        busy: share of threads × seconds in which workers worked on it.
    """

    name: str
    op: str
    kernel: str
    precision: str
    calls: int
    seconds: float
    flops: int
    flops_per_second: float | None
    share_of_peak: float | None
    moved_bytes: int
    phases: Mapping[str, float]
    busy: float


@dataclass(frozen=True)
class Profile:
    """One run, looked at closely: `layers` in order, `kernels` by their share of the time."""

    threads: int
    seconds: float
    layers: tuple[Work, ...]
    kernels: tuple[Work, ...]
    events: tuple[Mapping[str, Any], ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the events, for JSON."""
        own = {"threads": self.threads, "seconds": self.seconds}
        return {**own, "kernels": [asdict(w) for w in self.kernels], "layers": [asdict(w) for w in self.layers]}

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the fastest run in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open."""
        write_atomically(path, json.dumps({"traceEvents": list(self.events), "displayTimeUnit": "ms"}))


@dataclass(frozen=True)
class _Piece:
    """One step or Python node of one run."""

    name: str
    op: str
    kernel: str
    precision: str
    flops: int
    moved_bytes: int
    spans: tuple[Span, ...]

    @property
    def begin(self) -> float:
        return min(span.begin for span in self.spans)

    @property
    def seconds(self) -> float:
        return max(span.end for span in self.spans) - self.begin


class _Recorder:
    """Runs stages and keeps the pieces of one run."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []

    def run_stage(self, stage: Stage, values: dict[str, Any]) -> None:
        if isinstance(stage, NativeStage):
            spans: list[Span] = []
            stage.run(values, lambda arrays, inputs: spans.extend(stage.program.trace(arrays, inputs)))
            self._take_steps(stage.plan.steps, spans)
        elif isinstance(stage, DeferredStage):
            values.update(stage.executable(values).run(values, self.run_stage))
        else:
            begin = time.perf_counter()
            stage.run(values)
            assert isinstance(stage, PythonStage)
            span = Span(0, 0, 0, -1, begin, time.perf_counter())
            name = stage.node.name or stage.node.outputs[0]
            self.pieces.append(_Piece(name, stage.node.op, "python", "", 0, 0, (span,)))

    def _take_steps(self, steps: Sequence[Step], spans: Iterable[Span]) -> None:
        by_step: dict[int, list[Span]] = {}
        for span in spans:
            by_step.setdefault(span.step, []).append(span)
        for index, step in enumerate(steps):
            views = [view for view in (*step.inputs, *step.outputs) if view is not None]
            self.pieces.append(
                _Piece(
                    step.name,
                    step.op,
                    step.kernel,
                    views[0].dtype if views else "",
                    step.flops,
                    step.moved_bytes,
                    tuple(by_step.get(index, ())),
                )
            )


def profile(executable: Executable, feeds: Mapping[str, Any], rounds: int = 5) -> Profile:
    """Runs `rounds` times after one that is not counted.

    Args:
        executable: what a session prepared for the shapes of the feeds.
        feeds: arrays by input name.
        rounds: traced runs; the fastest counts.
    """
    runs: list[list[_Piece]] = []
    for _ in range(rounds + 1):
        recorder = _Recorder()
        executable.run(feeds, recorder.run_stage)
        runs.append([piece for piece in recorder.pieces if piece.spans])
    best = min(runs[1:], key=_lasted, default=[])
    threads = executable.settings.target.threads
    layers = tuple(_work(piece.name, [piece], threads) for piece in best)
    groups: dict[str, list[_Piece]] = {}
    for piece in best:
        groups.setdefault(f"{piece.kernel} {piece.op}" if piece.kernel == "python" else piece.kernel, []).append(piece)
    kernels = sorted((_work(name, pieces, threads) for name, pieces in groups.items()), key=lambda work: -work.seconds)
    return Profile(threads, _lasted(best), layers, tuple(kernels), tuple(_events(best, layers, threads)))


def _lasted(pieces: Sequence[_Piece]) -> float:
    return max(piece.begin + piece.seconds for piece in pieces) - pieces[0].begin if pieces else 0.0


def _work(name: str, pieces: Sequence[_Piece], threads: int) -> Work:
    first = pieces[0]
    seconds, flops = sum(piece.seconds for piece in pieces), sum(piece.flops for piece in pieces)
    spent = [0.0] * len(PHASES)
    for piece in pieces:
        for span in piece.spans:
            spent[span.phase] += span.end - span.begin
    workers = 1 if first.kernel == "python" else threads
    rate = flops / seconds if flops and seconds else None
    peak = peak_flops(first.precision, threads) if rate else 0.0
    return Work(
        name=name,
        op=first.op,
        kernel=first.kernel,
        precision=first.precision,
        calls=len(pieces),
        seconds=seconds,
        flops=flops,
        flops_per_second=rate,
        share_of_peak=rate / peak if rate and peak else None,
        moved_bytes=sum(piece.moved_bytes for piece in pieces),
        phases={phase: part / (sum(spent) or 1.0) for phase, part in zip(PHASES, spent, strict=True)},
        busy=min(1.0, sum(spent) / (workers * seconds)) if seconds else 0.0,
    )


def _events(pieces: Sequence[_Piece], layers: Sequence[Work], threads: int) -> Iterable[dict[str, Any]]:
    """A row of whole layers, and a row a thread."""
    process = {"pid": os.getpid()}
    if not pieces:
        return
    for thread, name in enumerate(["layers", *(f"worker {worker}" for worker in range(threads))]):
        yield {"ph": "M", "name": "thread_name", "tid": thread, "args": {"name": name}, **process}
        yield {"ph": "M", "name": "thread_sort_index", "tid": thread, "args": {"sort_index": thread}, **process}
    start = pieces[0].begin

    def slice_of(name: str, category: str, thread: int, begin: float, end: float, **arguments: Any) -> dict[str, Any]:
        times = {"ts": (begin - start) * 1e6, "dur": (end - begin) * 1e6}
        return {"ph": "X", "name": name, "cat": category, "tid": thread, **times, "args": arguments, **process}

    for piece, work in zip(pieces, layers, strict=True):
        about = {key: value for key, value in asdict(work).items() if key not in ("name", "calls")}
        yield slice_of(piece.name, piece.op, 0, piece.begin, piece.begin + piece.seconds, **about)
        for span in piece.spans:
            phase = PHASES[span.phase]
            about = {"phase": phase, "tile": span.tile, "kernel": piece.kernel}
            yield slice_of(piece.name, phase, span.worker + 1, span.begin, span.end, **about)
