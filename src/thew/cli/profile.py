"""``thew profile``: where the time of a run goes, and a trace of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thew.cli import models, show
from thew.cli.options import Common

if TYPE_CHECKING:
    from thew.runtime.profile import Work

COLUMNS = ("µs", "% time", "GFLOP/s", "% peak", "KB", "compute %", "pack %", "transform %", "busy %")


def profile(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as resnet50.")],
    batch: Annotated[int, typer.Option(min=1, help="Extent of a symbolic batch.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Height and width where they are symbolic.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs; the fastest counts.")] = 5,
    trace: Annotated[
        Path | None, typer.Option(help="Write a trace for ui.perfetto.dev or chrome://tracing to this file.")
    ] = None,
) -> None:
    """Times every kernel and thread: time, FLOP/s, share of the peak, bytes, and packing against computing."""
    import thew
    from thew.runtime.profile import profile as measure

    source = models.load(model, common.seed)
    session = thew.InferenceSession(source, threads=common.threads, precision=common.precision)
    feeds = models.random_feeds(session.get_inputs(), common.seed, batch, size)
    executable = session.prepare({name: array.shape for name, array in feeds.items()})
    found = measure(executable, feeds, rounds)
    if trace is not None:
        found.save_trace(trace)
    if common.json:
        show.as_json({"model": model, "batch": batch, **found.to_dict()})
        return
    kernels = [(work.name, work.calls, *_cells(work, found.seconds)) for work in found.kernels]
    layers = [(work.name, work.kernel, *_cells(work, found.seconds)) for work in found.layers]
    show.table(f"Layers of {model}, batch {batch}", ("layer", "kernel", *COLUMNS), layers)
    show.table("By kernel", ("kernel", "calls", *COLUMNS), kernels)
    threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
    show.line(f"{found.seconds * 1e3:.3f} ms on {threads}, traced" + (f"; trace in {trace}" if trace else ""))


def _cells(work: Work, total: float) -> tuple[str, ...]:
    rate, share = work.flops_per_second, work.share_of_peak
    return (
        f"{work.seconds * 1e6:.1f}",
        f"{100 * work.seconds / total:.1f}",
        "-" if rate is None else f"{rate / 1e9:.1f}",
        "-" if share is None else f"{100 * share:.1f}",
        f"{work.moved_bytes / 1e3:.0f}",
        *(f"{100 * part:.0f}" for part in work.phases.values()),
        f"{100 * work.busy:.0f}",
    )
