"""``thew bench``: Thew and its peers on the same work, interleaved (see `thew.bench`)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import models, show
from thew.cli.bench_layers import bench_layers
from thew.cli.bench_quantization import bench_quantization
from thew.cli.bench_ways import bench_ways
from thew.cli.options import Common, command
from thew.cli.scaling import scaling
from thew.cli.soak import soak
from thew.cli.study import study
from thew.errors import Error

if TYPE_CHECKING:
    from thew.bench import Task
    from thew.bench.energy import EnergySettings
    from thew.bench.rounds import Measured, Outcome

app = typer.Typer(
    help="Compares Thew with its peers, interleaved in one run.", no_args_is_help=True, rich_markup_mode=None
)

Peers = Annotated[str, typer.Option(help="Peers with commas; a name of thew bench peers.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; each gives everybody one turn.")]
Turn = Annotated[float, typer.Option("--turn-seconds", min=0.001, help="What one turn should take.")]
Out = Annotated[Path | None, typer.Option(help="Write machine, versions, command and all times to this JSON file.")]
AGREE = 1e-3  # fp32 networks: outputs differ by rounding, far below this share of the largest
AGREE_16 = 0.1  # tens of layers, each rounded to 8 bits (bf16) and in another order
AGREE_QUANTISED = 0.1  # two dozen of 255 steps: an integer on the edge between two falls either way in each layer


def bench_model(
    common: Common,
    model: Annotated[
        str,
        typer.Argument(help="An ONNX file, a network of the zoo such as resnet50, or of the benchmarks: bench:fsrcnn."),
    ],
    peers: Peers = "onnxruntime,torch",
    batch: Annotated[int, typer.Option(min=1, help="Extent of a symbolic batch.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Height and width where they are symbolic.")] = None,
    rounds: Rounds = 20,
    turn_seconds: Turn = 0.25,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also measure joules of an inference above idle, where there is a sensor.")
    ] = False,
    meter: Annotated[
        str | None,
        typer.Option(
            help="Energy by an external meter: CSV lines of timestamp,watts from a file, a pipe or - (stdin)."
        ),
    ] = None,
    out: Out = None,
) -> None:
    """One inference of a model."""
    from thew.bench import ModelTask
    from thew.bench.energy import watched

    if common.precision != "fp32":
        raise typer.BadParameter(f"--precision must be fp32, which all peers have, got {common.precision}")

    with tempfile.TemporaryDirectory(prefix="thew-bench-") as folder:
        path, shapes, flops = models.as_file(model, folder, common.seed, batch, size)
        task = ModelTask(common.threads, common.seed, folder, path, shapes)
        title = f"{model}, batch {batch}"
        if not energy and meter is None:
            found = _run(title, task, peers, rounds, turn_seconds, flops, common.json)
            _finish([found], common.json, out, _agreement(path))
            return
        with watched(meter) as (settings, source):
            if settings is None:
                show.note(source)
            result = _run(title, task, peers, rounds, turn_seconds, flops, common.json, settings)
        result["energy"] = {"source": source} if settings is not None else {"absent": source}
        _finish([result], common.json, out, _agreement(path))


def bench_training(
    common: Common,
    model: Annotated[str, typer.Argument(help="A network whose output is logits, such as lenet5 or vgg11.")],
    peers: Peers = "torch",
    batch: Annotated[int, typer.Option(min=1, help="Samples of a step.")] = 64,
    rounds: Rounds = 20,
    turn_seconds: Turn = 0.25,
    out: Out = None,
) -> None:
    """One step of training: SGD with momentum on cross-entropy."""
    import thew
    from thew.bench import TrainingTask

    with tempfile.TemporaryDirectory(prefix="thew-bench-") as folder:
        path, shapes, _ = models.as_file(model, folder, common.seed, batch, None)
        ((_, shape),) = shapes.values()
        classes = thew.InferenceSession(path).get_outputs()[0].shape
        task = TrainingTask(
            common.threads, common.seed, folder, path, shape, int((classes or [10])[-1]), common.precision
        )
        _compare(f"{model}, training step, batch {batch}", task, peers, rounds, turn_seconds, 0, common.json, out)


def bench_matmul(
    common: Common,
    sizes: Annotated[str, typer.Argument(help="Sizes with commas: 1024, or 64x512x256 for m × n × k.")] = "1024",
    peers: Peers = "numpy",
    rounds: Rounds = 20,
    turn_seconds: Turn = 0.25,
    out: Out = None,
) -> None:
    """Matrix products, and their share of the measured peak of fused multiply-adds."""
    from thew.bench import MatmulTask

    if common.precision not in ("fp32", "fp64"):
        raise typer.BadParameter(f"--precision must be fp32 or fp64, which all peers have, got {common.precision}")
    collected: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="thew-bench-") as folder:
        for m, n, k in _sizes(sizes):
            task = MatmulTask(common.threads, common.seed, folder, m, n, k, common.precision)
            title = f"{common.precision} matrix product {m} × {n} × {k}"
            collected.append(_run(title, task, peers, rounds, turn_seconds, 2 * m * n * k, common.json))
    _finish(collected, common.json, out)


def bench_overhead(
    common: Common,
    peers: Peers = "onnxruntime",
    rounds: Rounds = 20,
    turn_seconds: Turn = 0.05,
    out: Out = None,
) -> None:
    """What a call costs that computes next to nothing: a ReLU of 16 numbers."""
    from thew.bench import OverheadTask

    with tempfile.TemporaryDirectory(prefix="thew-bench-") as folder:
        task = OverheadTask(common.threads, common.seed, folder, _relu_model(folder))
        _compare("one-node graph", task, peers, rounds, turn_seconds, 0, common.json, out)


def bench_peers(common: Common) -> None:
    """Lists the peers, and which are installed."""
    from thew.bench import PEERS

    if common.json:
        show.as_json([{"name": name, "installed": peer.is_installed, **asdict(peer)} for name, peer in PEERS.items()])
        return
    cells = [
        (name, "yes" if peer.is_installed else "no", peer.needs, ", ".join(peer.kinds)) for name, peer in PEERS.items()
    ]
    show.table("Peers", ("name", "installed", "package", "tasks"), cells)


app.command("model")(command(bench_model))
app.command("training")(command(bench_training))
app.command("matmul")(command(bench_matmul))
app.command("overhead")(command(bench_overhead))
app.command("peers")(command(bench_peers))
app.command("layers")(command(bench_layers))
app.command("ways")(command(bench_ways))
app.command("scaling")(command(scaling))
app.command("quantization")(command(bench_quantization))
app.command("soak")(command(soak))
app.command("study")(command(study))


def _relu_model(folder: str) -> str:
    import thew
    from thew.ir import GraphBuilder

    builder = GraphBuilder("one_node")
    graph = builder.graph([builder.node("relu", [builder.input("x", "fp32", (16,))], "y")])
    path = str(Path(folder) / "one_node.onnx")
    thew.export_onnx(graph, path)
    return path


def _sizes(text: str) -> list[tuple[int, int, int]]:
    found = []
    for part in text.split(","):
        numbers = part.lower().split("x")
        if len(numbers) not in (1, 3) or not all(number.isdigit() and 0 < int(number) <= 65536 for number in numbers):
            raise typer.BadParameter(f"sizes must be such as 1024 or 64x512x256, got {part!r}")
        m, n, k = map(int, numbers * 3 if len(numbers) == 1 else numbers)
        found.append((m, n, k))
    return found


def _compare(
    title: str, task: Task, peers: str, rounds: int, turn: float, flops: int, as_json: bool, out: Path | None
) -> None:
    _finish([_run(title, task, peers, rounds, turn, flops, as_json)], as_json, out)


def _run(
    title: str,
    task: Task,
    peers: str,
    rounds: int,
    turn: float,
    flops: int,
    as_json: bool,
    energy: EnergySettings | None = None,
) -> dict[str, Any]:
    from thew.bench import Settings, measure
    from thew.runtime.device import measure_peak_flops

    names = ["thew", *(name for name in peers.split(",") if name and name != "thew")]

    def peak() -> float:
        return measure_peak_flops(getattr(task, "precision", "fp32"), task.threads)

    turns = rounds + (energy.rounds if energy is not None else 0)
    with show.progress(title, turns * len(names)) as bar:
        measured = measure(task, names, Settings(rounds, turn), bar.advance, peak if flops else None, energy)
    if not as_json:
        _table(title, measured, flops)
    return {"title": title, "flops": flops, **measured.to_dict()}


def _table(title: str, measured: Measured, flops: int) -> None:
    columns = [
        "contender",
        "version",
        "median ms",
        "min ms",
        "× thew",
        "GFLOP/s",
        "% peak",
        "peak RSS MB",
        "difference",
        *(["J/call", "W", "idle W"] if any(outcome.energy for outcome in measured.outcomes) else []),
    ]
    rows = []
    for outcome in measured.outcomes:
        rate = flops / outcome.median if flops else 0.0
        share = measured.share_of_peak(outcome, flops)
        rows.append(
            [
                outcome.name,
                ", ".join(map(str, outcome.report["versions"].values())),
                f"{outcome.median * 1e3:.4g}",
                f"{outcome.minimum * 1e3:.4g}",
                f"{outcome.ratio:.3f}",
                f"{rate / 1e9:.1f}" if flops else "-",
                "-" if share is None else f"{100 * share:.1f}",
                f"{outcome.peak_rss_bytes / 1e6:.0f}",
                f"{outcome.difference:.1e}",
                *_joules(outcome),
            ]
        )
    threads = measured.task.threads
    show.table(f"{title}, {threads} thread{'s' * (threads > 1)}, {measured.load['rounds']} rounds", columns, rows)
    for reason in measured.absent.values():
        show.note(f"left out: {reason}")


def _joules(outcome: Outcome) -> list[str]:
    if outcome.energy is None:
        return []
    found = outcome.energy.to_dict()
    return [f"{outcome.energy.median:.3g}", f"{found['watts']:.2f}", f"{found['idle_watts']:.2f}"]


def _agreement(path: str) -> float:
    """How far outputs may differ, as a share of the largest: where weights are integers, engines may make activations
    integers too.
    """
    from thew.onnx import read

    return AGREE_QUANTISED if any(node.op == "dequantize_linear" for node in read(path).nodes) else AGREE


def _finish(collected: Sequence[dict[str, Any]], as_json: bool, out: Path | None, agreement: float = AGREE) -> None:
    from thew.bench.machine import describe

    report = {**describe(), "results": list(collected)}
    show.report(report, out, as_json)
    for result in collected:
        told = [contender["settings"].get("precision", "fp32") for contender in result["contenders"]]
        within = AGREE_16 if {"fp16", "bf16"} & set(told) else agreement
        for contender in result["contenders"]:
            if not contender["difference_from_first"] <= within:
                raise Error(
                    f"bench '{result['title']}': outputs of {contender['name']} must agree with Thew's within {within},"
                    f" got {contender['difference_from_first']:.2g}; run thew explain to look for the layer"
                )
