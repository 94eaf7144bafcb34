"""``thew search``: finds how a model runs best on this machine, and writes the plan and a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import files, models, samples, show, show_search
from thew.cli.options import Common
from thew.errors import InputError

if TYPE_CHECKING:
    from thew.compress.observe import Progress
    from thew.ir import Graph
    from thew.search import Result
    from thew.search.prepare import Prepared
    from thew.search.result import Rival
    from thew.search.space import Settings

_SAMPLES = 4  # that stand for data where a space is shown without


def search(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as resnet50.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Pictures whose names begin with the number of their class, or an .npz file with x and y."),
    ] = None,
    preprocess: Annotated[str, typer.Option(help="As thew run has it, for pictures.")] = "auto",
    objective: Annotated[
        str, typer.Option(help="latency, throughput, memory, size, energy, pareto, or weights: latency=1,memory=0.5.")
    ] = "latency",
    max_accuracy_drop: Annotated[float | None, typer.Option(help="Share of accuracy that may be lost.")] = None,
    max_memory_bytes: Annotated[int | None, typer.Option(help="Bound of arena and weights.")] = None,
    max_energy_joules: Annotated[float | None, typer.Option(help="Bound of one run; needs a sensor.")] = None,
    agent: Annotated[str, typer.Option(help="Who searches: q-learning, annealing, evolution, …")] = "q-learning",
    episodes: Annotated[int, typer.Option(min=1, help="Assignments that the agent may try.")] = 1000,
    levels: Annotated[
        str, typer.Option(help="Levels to search, with commas; on the others the planner chooses.")
    ] = "network,algorithm,implementation",
    precisions: Annotated[
        str, typer.Option(help="Precisions that layers may have, with commas.")
    ] = "fp32,int8,bf16,fp16",
    pruning: Annotated[
        str,
        typer.Option(help="Levels to try, with commas: 0.25 of channels, 2:4, block:0.7; the model is written too."),
    ] = "",
    finetune_epochs: Annotated[int, typer.Option(min=0, help="Epochs of training after pruning.")] = 0,
    budget: Annotated[float, typer.Option(min=0, help="Seconds for measurements; what is over is estimated.")] = 300.0,
    farm: Annotated[
        bool, typer.Option("--farm", help="Measure by the other processes of an MPI job, on boards of this kind.")
    ] = False,
    transfer_from: Annotated[
        Path | None,
        typer.Option(help="Another device's measurements.sqlite: measure only what they leave open.", exists=True),
    ] = None,
    replan: Annotated[
        Path | None, typer.Option(help="Adapt this plan, of another device or version, and search nothing.")
    ] = None,
    peers: Annotated[
        str, typer.Option(help="Peers to time the plan beside, with commas: names of thew bench peers.")
    ] = "",
    plan: Annotated[
        Path | None, typer.Option(help="Write the plan here; by default beside the model, as MODEL.plan.json.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report, one page, here; by default beside it, as MODEL.report.html.")
    ] = None,
    space: Annotated[bool, typer.Option("--space", help="Show the space and its size, and search nothing.")] = False,
) -> None:
    """Finds by reinforcement learning the plan that is fastest or smallest on this machine within the bounds."""
    from thew.compress.post_training import read
    from thew.onnx import export_onnx
    from thew.runtime.replan import replan as adapted
    from thew.search.farm import mpi_farm
    from thew.search.run import search as find

    source = models.load(model, common.seed)
    given = None if data is None else samples.read(data, source, preprocess)
    if space:
        _show_space(read(source), common.threads, given, precisions.split(","), _levels(pruning), common.json)
        return
    stem = files.beside(model)
    target, page = plan or Path(f"{stem}.plan.json"), report or Path(f"{stem}.report.html")
    for path in (target, page):
        files.check_folder(path)
    if replan is not None:
        adapted(read(source), replan, common.threads).save(target)
        show.note(f"written to {target}")
        return
    with ExitStack() as stack:
        progress = stack.enter_context(show.stages())
        result = find(
            source,
            data=given,
            objective=_weights(objective),
            max_accuracy_drop=max_accuracy_drop,
            max_memory_bytes=max_memory_bytes,
            max_energy_joules=max_energy_joules,
            agent=agent,
            episodes=episodes,
            threads=common.threads,
            seed=common.seed,
            levels=levels.split(","),
            precisions=precisions.split(","),
            pruning=_levels(pruning),
            finetune_epochs=finetune_epochs,
            budget_seconds=budget,
            farm=stack.enter_context(mpi_farm()) if farm else None,
            transfer_from=transfer_from,
            progress=progress,
        )
        rivals, absent = _race(result, source, peers, given if max_accuracy_drop is not None else None, progress)
    result = dataclasses.replace(result, rivals=rivals)
    result.plan.save(target)
    if result.model is not None:
        lighter = f"{stem}_{'pruned' if pruning else 'weights_int8'}.onnx"
        export_onnx(result.model, lighter)
        show.note(f"the plan is for the model in {lighter}")
    result.report(page)
    for name, reason in absent.items():
        show.note(f"left out: {name}: {reason}")
    if common.json:
        show.as_json({"model": model, "plan": str(target), "report": str(page), **result.to_dict()})
        return
    show_search.result(result)
    show.line(f"plan in {target}, report in {page}")


def _race(
    result: Result, source: Graph | str, peers: str, given: Any, progress: Progress
) -> tuple[tuple[Rival, ...], Mapping[str, str]]:
    """The peers that are asked for beside the plan, on the same data."""
    names = [name for name in peers.split(",") if name]
    if not names:
        return (), {}
    from thew.bench import rivals
    from thew.compress.accuracy import labelled

    return rivals.race(result, source, names, None if given is None else labelled(given), progress=progress)


def _weights(text: str) -> str | dict[str, float]:
    """A name, or weights such as ``latency=1,memory=0.5``."""
    if "=" not in text:
        return text
    try:
        return {name: float(weight) for name, _, weight in (part.partition("=") for part in text.split(","))}
    except ValueError as error:
        raise InputError(f"--objective: weights must be such as latency=1,memory=0.5, got {text!r}") from error


def _levels(text: str) -> list[float | str]:
    """Levels such as ``0.25,2:4,block:0.7``."""
    return [part if ":" in part or part.isalpha() else _share(part) for part in text.split(",") if part]


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--pruning: must be levels such as 0.25,2:4,block:0.7, got {text!r}") from error


def _space(
    source: Graph, threads: int, given: Any, precisions: list[str], pruning: list[float | str]
) -> tuple[Prepared, Settings]:
    """The space, and what is free in it. Precisions need samples: numbers by chance serve where none are given."""
    import numpy as np

    from thew.compress.accuracy import Data
    from thew.search.prepare import Scope, calibrator_for, check_precisions, halves_for, prepare, types_of
    from thew.search.space import Settings

    check_precisions(precisions)
    data = None if given is None else Data(*given)
    types = types_of(source, data, {})
    if data is None and len(types) == 1:
        count, *shape = next(iter(types.values())).static_shape
        samples = np.random.default_rng(0).standard_normal((_SAMPLES * count, *shape)).astype(np.float32)
        data = Data(samples, np.zeros(len(samples), np.int64))
    halves = halves_for(source, types, data, precisions, threads)
    calibrator = calibrator_for(source, data, precisions, threads)
    found = prepare(source, types, threads, calibrator, Scope(halves=halves))
    return found, Settings(threads=threads, halves=halves, prunings=tuple(pruning))


def _show_space(
    source: Graph, threads: int, given: Any, precisions: list[str], pruning: list[float | str], as_json: bool
) -> None:
    """The dimensions, the options of every layer, and how many plans there are."""
    from thew.search.space import describe, size_of

    found, settings = _space(source, threads, given, precisions, pruning)
    ways, measured = found.environment.alternatives, found.environment.measured
    dimensions, size = describe(measured, settings, found.facts), size_of(measured, settings, found.facts)
    layers = {
        key: list(dict.fromkeys(f"{way.choice.precision} {way.choice.algorithm}" for way in options))
        for key, options in ways.items()
    }
    if as_json:
        show.as_json({"size": size, "dimensions": dimensions, "layers": layers})
        return
    show.table(
        "Dimensions",
        ("dimension", "level", "of each", "values", "what"),
        [(d["name"], d["level"], d["of"], ", ".join(map(str, d["values"])), d["summary"]) for d in dimensions],
    )
    show.table("Layers", ("layer", "options", "ways"), [(k, len(ways[k]), ", ".join(v)) for k, v in layers.items()])
    show.line(f"{size:.3g} plans")
