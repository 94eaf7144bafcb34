"""The study of learning: what networks come to on held-out samples in each precision, over seeds, and after how long.

A run is one training from a seed, by one recipe for all precisions; each is a file, and a run that was cut short goes
on from its checkpoint. Against which spread a precision is judged: that of the seeds in fp32.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from thew.bench.study.plots import save
from thew.bench.study.tables import about_machine, head
from thew.bench.study.trainings import Trainings
from thew.files import write_atomically

if TYPE_CHECKING:
    from thew import Trainer
    from thew.train import History

PRECISIONS = ("fp32", "mixed-bf16", "mixed-fp16", "mixed-fp64-fp16")
BATCH = 64
_METHOD = (
    f"SGD with momentum 0.9, batch {BATCH}, one cycle of the learning rate; accuracy is that on held-out samples after "
    "the last epoch. The spread of the seeds is what a precision's accuracy is judged by. Minutes are of the clock, "
    "whatever else the machine was doing."
)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with momentum 0.9, its learning rate on one cycle up to `lr`."""

    model: str
    data: str
    epochs: int
    lr: float
    weight_decay: float
    target: float  # accuracy on held-out samples
    augment: bool


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "lenet5_mnist": Recipe("lenet5", "mnist", 8, 0.02, 5e-4, 0.99, augment=False),
        "lenet5_fashion_mnist": Recipe("lenet5", "fashion_mnist", 8, 0.02, 5e-4, 0.89, augment=False),
        "vgg11_cifar10": Recipe("vgg11", "cifar10", 8, 0.03, 5e-4, 0.80, augment=True),
    }
)


@dataclass(frozen=True)
class Run:
    """One training."""

    recipe: str
    precision: str
    seed: int
    threads: int

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.recipe}_{self.precision}_seed{self.seed}"


class LearningStudy(Trainings[Run]):
    """Runs in a folder: a JSON file of each that has ended, a checkpoint of each that has not."""

    unfinished = ("safetensors",)

    def trained(self, run: Run) -> Mapping[str, Any] | None:
        """The recipe, and the history of its training."""
        history = self._train(run)
        return None if history.stopped else {"recipe": asdict(RECIPES[run.recipe]), "history": history.columns}

    def _train(self, run: Run) -> History:
        recipe, checkpoint = RECIPES[run.recipe], self.beside(run, self.unfinished[0])
        training, test = samples_of(recipe, run.seed)
        if checkpoint.exists():
            import thew

            trainer = thew.Trainer.resume(checkpoint, threads=run.threads)
        else:
            trainer = trainer_of(recipe, run, len(training))
        return trainer.fit(training, recipe.epochs, BATCH, test, checkpoint=checkpoint)


def samples_of(recipe: Recipe, seed: int) -> tuple[Any, Any]:
    """(training, test) samples; shifted, and mirrored where they are of colour, if the recipe augments."""
    from thew import data

    return data.load(recipe.data, data.SETS[recipe.data].augment if recipe.augment else (), seed)


def trainer_of(recipe: Recipe, run: Run, samples: int) -> Trainer:
    """A trainer at its first step."""
    import thew
    from thew import data, optim

    steps = recipe.epochs * -(-samples // BATCH)
    return thew.Trainer(
        getattr(thew.models, recipe.model)(num_classes=10, seed=run.seed),
        optimizer=optim.SGD(lr=recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay),
        input_shape=data.SETS[recipe.data].shape,
        precision=run.precision,
        threads=run.threads,
        seed=run.seed,
        schedule=optim.OneCycle(steps),
    )


def runs_of(recipes: Sequence[str], precisions: Sequence[str], seeds: int, threads: int) -> list[Run]:
    """All runs, one seed of everything before the next."""
    every = itertools.product(range(seeds), recipes, precisions)
    return [Run(recipe, precision, seed, threads) for seed, recipe, precision in every]


def write_learning_report(folder: Path, plots: bool = True) -> Path:
    """Writes the report, and plots, of the runs that have ended."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    columns = (
        "network and data", "precision", "threads", "seeds", "accuracy of each seed", "median",
        "reached the target after",
    )  # fmt: skip
    lines = ["# Study of learning", "", *about_machine(reports, _METHOD), *head(columns)]
    for recipe in RECIPES:
        for precision in PRECISIONS:
            lines += _line(recipe, precision, [r for r in reports if _is(r, recipe, precision)])
    for recipe in RECIPES if plots else ():
        of_recipe = [report for report in reports if report["run"]["recipe"] == recipe]
        if of_recipe and save(_curves, of_recipe, folder / f"{recipe}.svg"):
            lines += ["", f"![Accuracy by epoch: {recipe}]({recipe}.svg)"]
    write_atomically(folder / "index.md", "\n".join(lines) + "\n")
    return folder / "index.md"


def _is(report: Any, recipe: str, precision: str) -> bool:
    return bool(report["run"]["recipe"] == recipe and report["run"]["precision"] == precision)


def _line(recipe: str, precision: str, reports: Sequence[Any]) -> Iterator[str]:
    if not reports:
        return
    last = [report["history"]["val_accuracy"][-1] for report in reports]
    target = reports[0]["recipe"]["target"]
    reached = [found for found in (_reached(report["history"], target) for report in reports) if found]
    when = f"{target:.0%}: {len(reached)} of {len(reports)}"
    if reached:
        epochs, seconds = (statistics.median(values) for values in zip(*reached, strict=True))
        when += f", {epochs:g} epochs, {seconds / 60:.2g} min"
    every = ", ".join(f"{accuracy:.4f}" for accuracy in last)
    threads, median = reports[0]["run"]["threads"], statistics.median(last)
    yield f"| {recipe} | {precision} | {threads} | {len(reports)} | {every} | {median:.4f} | {when} |"


def _reached(history: Any, target: float) -> tuple[int, float] | None:
    """(epochs, seconds of training) after which held-out accuracy was first at the target."""
    for epoch, accuracy in enumerate(history["val_accuracy"], 1):
        if accuracy >= target:
            return epoch, sum(history["seconds"][:epoch])
    return None


def _curves(figure: Any, reports: Sequence[Any]) -> None:
    """Accuracy on held-out samples by epoch: a colour a precision, a line a seed."""
    axes = figure.subplots()
    for report in reports:
        accuracy, precision = report["history"]["val_accuracy"], report["run"]["precision"]
        label = precision if report["run"]["seed"] == 0 else None
        axes.plot(range(1, len(accuracy) + 1), accuracy, color=f"C{PRECISIONS.index(precision)}", label=label)
    axes.axhline(reports[0]["recipe"]["target"], color="black", lw=0.8, ls=":")
    axes.set(xlabel="epoch", ylabel="accuracy on held-out samples")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
