"""``thew bench scaling``: how training scales over ranks, predicted for a network, and measured under mpirun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from thew.cli import show
from thew.cli.options import Common
from thew.cli.train import Compression
from thew.errors import InputError


def scaling(
    common: Common,
    model: Annotated[str, typer.Argument(help="A network of the zoo whose output is logits, such as vgg11.")] = "vgg11",
    batch: Annotated[int, typer.Option(min=1, help="Samples of a step, in each rank.")] = 64,
    latency_us: Annotated[float, typer.Option(min=0.0, help="What a message costs, in microseconds (α).")] = 2.0,
    gigabits: Annotated[float, typer.Option(min=0.001, help="Gigabits a second into and out of a rank (β).")] = 100.0,
    offloads: Annotated[
        bool, typer.Option(help="Whether the network moves data by itself, or the core that computes.")
    ] = True,
    most_ranks: Annotated[int, typer.Option(min=1, help="Predict for 1, 2, 4, … ranks up to so many.")] = 1024,
    compress: Annotated[Compression, typer.Option(help="What gradients travel in.")] = Compression.NONE,
    bucket_mb: Annotated[float, typer.Option(min=0.001, help="Megabytes of gradients that are summed at once.")] = 4.0,
    rounds: Annotated[int, typer.Option(min=2, help="Steps that are measured, of each kind.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Write machine, command and all figures to this JSON file.")] = None,
) -> None:
    """Predicts steps of 1 to 1,024 ranks; under mpirun also measures, and predicts, those of the ranks at hand."""
    from thew.bench.scaling import Network, compute_of, measure, measure_network, pretended
    from thew.train import DataParallel
    from thew.train.parallel import group_of, launched_size

    how = DataParallel(compress, int(bucket_mb * 2**20))
    group = group_of(how if launched_size() > 1 else False)
    x, y = _samples(model, batch, common.seed)
    compute = compute_of(_trainer(common, model, pretended(how, max(2, group.size))), x, y, rounds)
    network = Network(latency_us * 1e-6, gigabits * 1e9 / 8, offloads)
    result: dict[str, Any] = {"model": model, "batch": batch, "compute": compute.__dict__, "network": network.__dict__}
    ranks = [2**power for power in range(most_ranks.bit_length())]
    seconds = {count: compute.step_seconds(network, count) for count in ranks}
    result["predicted"] = [
        {"ranks": count, "seconds": took, "efficiency": seconds[1] / took} for count, took in seconds.items()
    ]
    if group.size > 1:
        single, parallel = (_trainer(common, model, chosen) for chosen in (False, group))
        found = measure(single, parallel, x, y, rounds).to_dict(group.size)
        own = measure_network(group)
        here = compute.step_seconds(own, group.size) - compute.step_seconds(own, 1)
        result["measured"] = {"ranks": group.size, **found, "network": own.__dict__, "predicted_seconds": here}
    if group.rank == 0:
        _report(common, result, out)


def _samples(model: str, batch: int, seed: int) -> tuple[Any, Any]:
    import numpy as np

    from thew.models.zoo import ZOO

    if model not in ZOO:
        raise InputError(f"model: must be one of {', '.join(ZOO)}, got {model!r}")
    random = np.random.default_rng(seed)
    return random.standard_normal((batch, *ZOO[model].input_shape), np.float32), random.integers(0, 10, batch)


def _trainer(common: Common, model: str, group: Any) -> Any:
    import thew
    from thew.models.zoo import ZOO

    optimizer, shape = thew.optim.SGD(lr=0.01, momentum=0.9), ZOO[model].input_shape
    built = ZOO[model].build(num_classes=10, seed=common.seed)
    return thew.Trainer(
        built, "cross_entropy", optimizer, shape, common.precision, common.threads, common.seed, distributed=group
    )


def _report(common: Common, result: dict[str, Any], out: Path | None) -> None:
    from thew.bench.machine import describe

    report = {**describe(), **result}
    if show.report(report, out, common.json):
        return
    rows = [
        [
            row["ranks"],
            f"{row['seconds'] * 1e3:.4g}",
            f"{row['ranks'] * row['efficiency']:.4g}",
            f"{row['efficiency']:.3f}",
        ]
        for row in result["predicted"]
    ]
    title = f"{result['model']}, batch {result['batch']} in each rank: predicted"
    show.table(title, ("ranks", "ms a step", "speed-up", "efficiency"), rows)
    if "measured" in result:
        found = result["measured"]
        show.line(
            f"measured, {found['ranks']} ranks: {found['speedup']:.3f} times the samples a second of one alone, "
            f"{found['speedup_without_communication']:.3f} without communication; communication takes "
            f"{found['communication_seconds'] * 1e3:.3g} ms a step, predicted {found['predicted_seconds'] * 1e3:.3g} ms"
        )
