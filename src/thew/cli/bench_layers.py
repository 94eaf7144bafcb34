"""``thew bench layers``: what each layer takes under ``precision="auto"``, beside fp32."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from thew.cli import show
from thew.cli.models import as_file
from thew.cli.options import Common


def bench_layers(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as resnet50.")],
    batch: Annotated[int, typer.Option(min=1, help="Extent of a symbolic batch.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each profiles both once.")] = 25,
    out: Annotated[Path | None, typer.Option(help="Write machine, versions, command and all layers here.")] = None,
) -> None:
    """Each layer as precision="auto" runs it, and in fp32."""
    from thew.bench.layers import compare_layers
    from thew.bench.machine import describe

    with tempfile.TemporaryDirectory(prefix="thew-bench-") as folder:
        path, shapes, _ = as_file(model, folder, common.seed, batch, None)
        layers = compare_layers(path, {name: shape for name, (_, shape) in shapes.items()}, common.threads, rounds)
    reduced = [layer for layer in layers if layer.is_reduced]
    wide = sum(layer.fp32_seconds or 0.0 for layer in layers)
    mixed = sum(layer.seconds for layer in layers)
    slowest = max((layer.ratio or 0.0 for layer in reduced), default=None)
    summary = {"reduced_layers": len(reduced), "slowest_ratio": slowest, "fp32_seconds": wide, "auto_seconds": mixed}
    about = {"model": model, "threads": common.threads, "batch": batch, "rounds": rounds}
    report = {**describe(), **about, **summary, "layers": [asdict(layer) for layer in layers]}
    if show.report(report, out, common.json):
        return
    rows = [
        (layer.name, layer.op, layer.precision, f"{1e6 * layer.seconds:.1f}",
         "-" if layer.fp32_seconds is None else f"{1e6 * layer.fp32_seconds:.1f}",
         "-" if layer.ratio is None else f"{layer.ratio:.2f}")
        for layer in layers
    ]  # fmt: skip
    show.table(f"{model}, {common.threads} threads", ("layer", "op", "precision", "µs", "fp32 µs", "ratio"), rows)
    worst = "" if slowest is None else f"; the slowest of them takes {slowest:.2f} of its time there"
    show.line(f"{len(reduced)} layers on 16 bits, {mixed / wide:.2f} of the time in fp32{worst}")
