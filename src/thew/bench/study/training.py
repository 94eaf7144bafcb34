"""The study of training: a step of LeNet-5 and VGG11 by batch and threads against the peers, and what each technique
brings, alone and with the others, with the accuracy that it comes to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from thew.bench.study.pieces import Piece
from thew.bench.study.plots import save
from thew.bench.study.tables import about_machine, head
from thew.bench.tasks import TrainingTask
from thew.files import write_atomically, write_json

_METHOD = (
    "One step is forward, loss, backward and SGD with momentum on cross-entropy; contenders take turns, and ratios are "
    "medians over rounds of a contender's time over Thew's in fp32 with all techniques."
)
SHAPES = {"lenet5": (1, 28, 28), "vgg11": (3, 32, 32)}
TECHNIQUES = {  # of a plan, by what the study calls them
    "layouts": "convolution: images innermost, channels last",
    "winograd": "convolution: Winograd",
    "fitted_blocking": "linear operators: cache parameters fitted to this machine",
    "fusion": "fusion",
    "memory_planning": "memory plan",
}
PRECISIONS = ("mixed-bf16", "mixed-fp16", "mixed-fp64-fp16", "fp64")


@dataclass(frozen=True)
class TrainingPiece(Piece):
    """A step of one network, against the peers or by techniques."""

    kind: ClassVar[str] = "training"
    model: str = "lenet5"
    techniques: bool = False

    @property
    def name(self) -> str:
        """Unique in the study."""
        what = "techniques" if self.techniques else "step"
        return f"{self.model}_{what}_{self.threads}t_batch{self.batch}"

    def contenders(self, peers: Sequence[str]) -> list[str]:
        """Thew and all peers; or Thew without each technique, without any, with only one, and in other precisions."""
        return variants() if self.techniques else ["thew", *peers]


def variants() -> list[str]:
    """Of Thew, by techniques and precision."""

    def off(names: Sequence[str]) -> str:
        return ":".join(["thew", *(f"{name}=off" for name in names)])

    names = list(TECHNIQUES)
    alone = [off([other for other in names if other != name]) for name in names]
    precisions = [f"thew:precision={precision}" for precision in PRECISIONS]
    return ["thew", *(off([name]) for name in names), *precisions, off(names), *alone]


def training_pieces(threads: Sequence[int], batches: Sequence[int]) -> list[TrainingPiece]:
    """All pieces; the techniques are looked at on one thread, at the batch nearest to 64."""
    steps = [TrainingPiece(count, batch, model=m) for m in SHAPES for batch in batches for count in threads]
    middle = min(batches, key=lambda batch: abs(batch - 64))
    return [*steps, *(TrainingPiece(min(threads), middle, model=m, techniques=True) for m in SHAPES)]


def training_task(piece: TrainingPiece, folder: str, seed: int) -> TrainingTask:
    """The work, its network in a file there."""
    import thew

    path, shape = str(Path(folder) / f"{piece.model}.onnx"), (piece.batch, *SHAPES[piece.model])
    model = getattr(thew.models, piece.model)(num_classes=10, seed=seed)
    thew.export_onnx(model, path, input_shape=shape)
    return TrainingTask(piece.threads, seed, folder, path, shape)


def accuracies(
    data: str, folder: Path, seed: int = 0, epochs: int = 1, tick: Callable[[str], None] = lambda name: None
) -> Path:
    """Trains LeNet-5 on a data set in each variant, and writes what held-out samples say of it."""
    import thew
    from thew import optim
    from thew.bench.peers import split
    from thew.plan import PlanOptions

    train, test = thew.data.load(data)
    found = {}
    for variant in variants():
        told = split(variant)[1]
        precision = told.pop("precision", "fp32")
        trainer = thew.Trainer(
            thew.models.lenet5(seed=seed), optimizer=optim.SGD(lr=0.05, momentum=0.9), input_shape=SHAPES["lenet5"],
            precision=precision, seed=seed, options=PlanOptions.without(told),
        )  # fmt: skip
        trainer.fit(train, epochs=epochs, batch_size=64, progress=False)
        found[variant] = trainer.evaluate(test)
        tick(variant)
    path = folder / "accuracy.json"
    write_json(path, {"data": data, "epochs": epochs, "seed": seed, "variants": found})
    return path


def write_training_report(paths: Sequence[Path], folder: Path, plots: bool = True) -> Path:
    """Writes the report, and plots, of the pieces that are measured."""
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    steps = [report for report in reports if "techniques" not in report["results"][0]["title"]]
    ablations = [report for report in reports if report not in steps]
    about = about_machine(reports, _METHOD)
    lines = ["# Study of training", "", *about, *_steps(steps), *_techniques(ablations, folder)]
    if plots and steps:
        save(_speeds, steps, folder / "speed.svg")
        lines += ["", "![Samples a second by batch](speed.svg)"]
    path = folder / "index.md"
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _steps(reports: Sequence[Any]) -> Iterator[str]:
    columns = ("network", "batch", "threads", "contender", "median ms", "minimum ms", "× Thew", "peak MB")
    yield from ("## Against the peers", "", *head(columns))
    for report in reports:
        for found in report["results"][0]["contenders"]:
            yield f"| {_model(report)} | {report['piece']['batch']} | {report['piece']['threads']} | {_cells(found)} |"
    yield ""
    absent = {why for report in reports for why in report["results"][0].get("absent", {}).values()}
    yield from (f"Left out: {why}." for why in sorted(absent))


def _techniques(reports: Sequence[Any], folder: Path) -> Iterator[str]:
    path = folder / "accuracy.json"
    trained: Any = json.loads(path.read_text()) if path.exists() else {"variants": {}, "data": "", "epochs": 0}
    columns = ("network", "variant", "median ms", "minimum ms", "× all techniques", "peak MB", "accuracy")
    yield from ("", "## What each technique brings", "")
    if trained["data"]:
        about = f"{trained['data']} after {trained['epochs']} epoch(s)"
        yield f"Accuracy: of LeNet-5 on held-out {about} from one seed, whose path each rounding bends."
        yield ""
    yield from head(columns)
    for report in reports:
        for found in report["results"][0]["contenders"]:
            known = trained["variants"].get(found["name"], {}) if _model(report) == "lenet5" else {}
            accuracy = f"{known['accuracy']:.4f}" if "accuracy" in known else "-"
            cells = _cells({**found, "name": titled(found["name"])})
            yield f"| {_model(report)} | {cells} | {accuracy} |"


def titled(variant: str) -> str:
    """What a variant is called in the report."""
    from thew.bench.peers import split

    told = split(variant)[1]
    off = [name for name in told if name in TECHNIQUES]
    if "precision" in told:
        return told["precision"]
    if len(off) == len(TECHNIQUES):
        return "without any"
    if len(off) == len(TECHNIQUES) - 1:
        return "only " + next(title for name, title in TECHNIQUES.items() if name not in off)
    return "without " + TECHNIQUES[off[0]] if off else "all"


def _model(report: Any) -> str:
    return next(model for model in SHAPES if model in report["results"][0]["title"])


def _cells(found: Any) -> str:
    times = f"{found['median_seconds'] * 1e3:.3g} | {found['minimum_seconds'] * 1e3:.3g}"
    return f"{found['name']} | {times} | {found['ratio_to_first']:.2f} | {found['peak_rss_bytes'] / 1e6:.0f}"


def _speeds(figure: Any, reports: Sequence[Any]) -> None:
    """Samples a second by batch: a panel a network, a line a contender and number of threads."""
    for axes, model in zip(figure.subplots(1, len(SHAPES)), SHAPES, strict=True):
        lines: dict[str, list[tuple[int, float]]] = {}
        for report in (report for report in reports if _model(report) == model):
            batch, threads = report["piece"]["batch"], report["piece"]["threads"]
            for found in report["results"][0]["contenders"]:
                lines.setdefault(f"{found['name']}, {threads}T", []).append((batch, batch / found["median_seconds"]))
        for name, points in lines.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name, lw=2 if "thew" in name else 1)
        axes.set(title=model, xlabel="batch", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("samples / s")
    figure.axes[0].legend(fontsize=7)
