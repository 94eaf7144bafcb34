"""``thew bench study``: one model by threads and batch against all peers, and what each technique brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import show
from thew.cli.options import Common

if TYPE_CHECKING:
    from thew.bench.study.trainings import Trainings
    from thew.bench.tasks import Task

PEERS = "onnxruntime,openvino,torch,torch-compile,litert,ncnn,mnn,armnn"
AGENTS = "torch,tensorflow,stable-baselines3"
TRAINERS = "torch,torch-compile,tensorflow,jax"


def study(
    common: Common,
    model: Annotated[
        str,
        typer.Argument(help="An ONNX file, a network of the zoo such as resnet50, dqn, training, learning, or search."),
    ] = "resnet50",
    folder: Annotated[Path, typer.Option(help="Where files, plots and report go; what is there is kept.")] = Path(
        "study"
    ),
    threads_list: Annotated[str, typer.Option(help="Numbers of threads with commas; by default 1 and all.")] = "",
    batches: Annotated[
        str, typer.Option(help="Batches with commas; by default 1,4,16, 32 for dqn, and 1,16,64,128 for training.")
    ] = "",
    mhz: Annotated[
        str, typer.Option(help="Caps on the CPUs' clock with commas (as administrator); none by default.")
    ] = "",
    peers: Annotated[
        str, typer.Option(help="Peers with commas; names of thew bench peers; by default all, of search none.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each piece.")] = 20,
    turn_seconds: Annotated[float, typer.Option(min=0.001, help="What one turn should take.")] = 0.5,
    piece_seconds: Annotated[float, typer.Option(min=1, help="Fewer rounds where a piece would take longer.")] = 120,
    budget: Annotated[float | None, typer.Option(min=0, help="Begin no piece after this many seconds.")] = None,
    meter: Annotated[
        str | None, typer.Option(help="Energy by an external meter: CSV lines of timestamp,watts (see bench model).")
    ] = None,
    networks: Annotated[
        str, typer.Option(help="Of search: model=data pairs with commas; data as thew search has them.")
    ] = "",
    part: Annotated[
        str,
        typer.Option(
            help="With commas, by default all. Of search: its pieces; of learning: recipes or precisions; of dqn: step,"
            " act, environment, returns, and whose returns."
        ),
    ] = "",
    episodes: Annotated[int, typer.Option(min=1, help="Of search: of every agent.")] = 1000,
    seeds: Annotated[int, typer.Option(min=1, help="Searches of every agent; of learning and returns: runs.")] = 10,
    game: Annotated[str, typer.Option(help="Of dqn: the game of its returns.")] = "MinAtar/Breakout-v1",
    data: Annotated[str, typer.Option(help="For training: a data set such as mnist, for accuracies.")] = "",
    plots: Annotated[bool, typer.Option(help="Draw plots; needs pip install 'thew[plots]'.")] = True,
) -> None:
    """Throughput, latency (p50, p90, p99) and energy by threads and batch, against the peers; and an ablation.

    Of search: agents by seed on measured tables, found plans against BLAS in fp32, levels of the space alone.
    Of learning: accuracy on held-out samples of LeNet-5 and VGG11 in every precision, over seeds.
    """
    parts = [one for one in part.split(",") if one]
    if model == "search":
        _of_searches(common, folder, networks, parts, episodes, seeds, peers, plots)
        return
    if model == "learning":
        _of_learning(common, folder, parts, seeds, plots)
        return
    from thew.bench import Settings
    from thew.bench.energy import watched
    from thew.bench.study import (
        Study,
        accuracies,
        dqn_pieces,
        pieces_of,
        training_pieces,
        write_dqn_report,
        write_report,
        write_training_report,
    )
    from thew.bench.study.dqn import RETURNS, TITLES
    from thew.bench.study.returns import CONTENDERS
    from thew.runtime.device import facts

    allowed = sum(core["allowed"] for core in facts()["cores"])
    counts = _numbers(threads_list, "threads-list") or sorted({1, allowed})
    clocks: list[int | None] = [*_numbers(mhz, "mhz")] or [None]
    pieces: list[Any]
    if model == "dqn":
        pieces = list(dqn_pieces(counts, _numbers(batches, "batches") or [32]))
        known, asked = AGENTS, [piece for piece in pieces if not parts or piece.work in parts]
        if set(parts) - {*TITLES, *CONTENDERS, RETURNS}:
            raise typer.BadParameter(f"--part must be of {', '.join((*TITLES, RETURNS, *CONTENDERS))}, got {part!r}")
    elif model == "training":
        pieces = list(training_pieces(counts, _numbers(batches, "batches") or [1, 16, 64, 128]))
        known, asked = TRAINERS, pieces
    else:
        pieces = pieces_of(counts, _numbers(batches, "batches") or [1, 4, 16], clocks)
        known, asked = PEERS, pieces
    names = [name for name in (peers or known).split(",") if name and name != "thew"]
    with watched(meter) as (energy, source):
        whole = Study(model, folder, names, Settings(rounds, turn_seconds, piece_seconds), energy, source)
        turns = len(asked) * (len(names) + 1) * rounds
        with show.progress(f"study of {model}", turns) as bar:
            missing = whole.run(asked, lambda piece, place: _task(common, model, piece, place), budget, bar.advance)
    paths = [whole.path(piece) for piece in pieces]
    if data and not (folder / "accuracy.json").exists():
        accuracies(data, folder, common.seed)
    if model == "dqn":
        if not parts or RETURNS in parts:
            _of_returns(common, folder / RETURNS, parts, seeds, game)
        report = write_dqn_report(paths, folder, plots)
    elif model == "training":
        report = write_training_report(paths, folder, plots)
    else:
        report = write_report(model, paths, folder, plots)
    _tell(common, report, missing=[piece.name for piece in missing])


def _tell(common: Common, report: Path, **more: list[str]) -> None:
    """Where the report is, and what is not in it yet."""
    if common.json:
        show.as_json({"report": str(report), **more})
        return
    missing = more.get("missing")
    show.line(f"report in {report}" + (f"; still to measure: {len(missing)} pieces" if missing else ""))


def _of_searches(
    common: Common, folder: Path, networks: str, parts: list[str], episodes: int, seeds: int, peers: str, plots: bool
) -> None:
    from thew.bench.study import SearchedNetwork, SearchStudy, write_search_report
    from thew.bench.study.searches import PARTS
    from thew.cli import samples

    pairs = [pair.partition("=") for pair in networks.split(",") if pair]
    if not pairs or not all(data for *_, data in pairs) or set(parts) - set(PARTS):
        raise typer.BadParameter(
            f"--networks must be such as model.onnx=pictures, --part plans,agents, got {networks!r}"
        )
    parts = parts or list(PARTS)
    rivals = [name for name in peers.split(",") if name]
    whole = SearchStudy(folder, episodes, seeds, common.threads, peers=rivals)
    with show.progress("study of search", len(pairs) * len(parts)) as bar:
        for path, _, data in pairs:
            name = Path(path).stem
            missing = [part for part in parts if not whole.path(name, part).exists()]
            network = SearchedNetwork(name, path, samples.read(Path(data), path)) if missing else None
            for part in missing:
                assert network is not None
                whole.run(network, part, show.note)
            bar.advance(name)
    _tell(common, write_search_report(folder, [Path(path).stem for path, *_ in pairs], plots))


def _of_learning(common: Common, folder: Path, parts: list[str], seeds: int, plots: bool) -> None:
    from thew.bench.study import LearningStudy, runs_of, write_learning_report
    from thew.bench.study.learning import PRECISIONS, RECIPES

    if unknown := set(parts) - {*RECIPES, *PRECISIONS}:
        known = ", ".join((*RECIPES, *PRECISIONS))
        raise typer.BadParameter(f"--part must be of {known}, got {', '.join(sorted(unknown))}")
    recipes = [one for one in RECIPES if one in parts] or list(RECIPES)
    precisions = [one for one in PRECISIONS if one in parts] or list(PRECISIONS)
    whole = LearningStudy(folder)
    runs = runs_of(recipes, precisions, seeds, common.threads)
    _train("study of learning", whole, runs)
    _tell(common, write_learning_report(folder, plots))


def _of_returns(common: Common, folder: Path, parts: list[str], seeds: int, game: str) -> None:
    from thew.bench.study import ReturnsStudy, agent_runs
    from thew.bench.study.returns import CONTENDERS, GAMES

    if game not in GAMES:
        raise typer.BadParameter(f"--game must be of {', '.join(GAMES)}, got {game!r}")
    contenders = [one for one in CONTENDERS if one in parts] or list(CONTENDERS)
    whole, runs = ReturnsStudy(folder), agent_runs(contenders, seeds, common.threads, game)
    _train("returns", whole, runs)


def _train(what: str, whole: Trainings[Any], runs: Sequence[Any]) -> None:
    """All runs of a study; a signal ends them, to go on with the next time."""
    with show.progress(what, len(runs)) as bar:
        for run in runs:
            if not whole.run(run):
                raise typer.Exit(1)
            bar.advance(run.name)


def _task(common: Common, model: str, piece: Any, folder: str) -> tuple[Task, int]:
    from thew.bench import ModelTask
    from thew.bench.study import dqn_task, training_task
    from thew.cli.models import as_file

    if model == "dqn":
        return dqn_task(piece, folder, common.seed), 0
    if model == "training":
        return training_task(piece, folder, common.seed), 0
    path, shapes, flops = as_file(model, folder, common.seed, piece.batch, None)
    return ModelTask(piece.threads, common.seed, folder, path, shapes), flops


def _numbers(text: str, option: str) -> list[Any]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"--{option} must be numbers with commas such as 1,2,4, got {text!r}")
    return list(dict.fromkeys(map(int, parts)))
