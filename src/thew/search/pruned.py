"""How many channels a network loses: each share is pruned and trained on, judged by accuracy, and timed whole.

It comes before all else that is chosen: what follows is measured on the network that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from thew.compress import Pruner
from thew.compress.accuracy import Data
from thew.compress.finetune import Training, finetune
from thew.compress.observe import Progress, silent
from thew.errors import InputError
from thew.ir import Graph, TensorType
from thew.onnx import read
from thew.onnx.writer import to_model
from thew.plan import build_plan
from thew.runtime.device import target
from thew.search.network_level import planned_graph, value_of, winner_of
from thew.search.objective import Objective
from thew.search.result import Tried
from thew.search.space import Settings
from thew.search.space.pruning import PRUNING
from thew.search.trial import Network

Keeps = Callable[[Network, Hashable], bool]


@dataclass(frozen=True)
class Pruning:
    """What is tried.

    Attributes:
        ratios: shares of the channels of every group that go.
        epochs: of training after each.
        data: samples to train on.
    """

    ratios: tuple[float, ...] = ()
    epochs: int = 0
    data: Data | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(ratio, int | float) and 0 < ratio < 1 for ratio in self.ratios):
            raise InputError(f"pruning: must be shares of channels between 0 and 1, got {self.ratios}")
        if self.epochs < 0 or (self.ratios and self.data is None):
            raise InputError(
                f"pruning: must come with max_accuracy_drop, data and finetune_epochs of 0 or more, got {self.epochs}"
            )


def choose_pruning(
    source: Graph,
    types: Mapping[str, TensorType],
    pruning: Pruning,
    settings: Settings,
    keeps: Keeps,
    wanted: Objective,
    progress: Progress = silent,
) -> tuple[Graph, float, tuple[Tried, ...]]:
    """The model that goes on, the share of channels that it lost, and what was tried.

    Args:
        source: the model as it is.
        types: of its inputs.
        pruning: what is tried.
        settings: of threads, and of all that the planner's own plans have.
        keeps: whether a network's accuracy stays in bounds; its second argument names it.
        wanted: what decides among those that do.
        progress: called with what is done.
    """
    if not pruning.ratios or pruning.data is None:
        return source, 0.0, ()
    models = {0.0: source}
    for position, ratio in enumerate(pruning.ratios):
        progress("pruning", position, len(pruning.ratios))
        smaller = Pruner(source, threads=settings.threads).prune(ratio)
        if pruning.epochs:
            training = Training(pruning.epochs, threads=settings.threads, progress=progress)
            smaller = finetune(smaller, pruning.data, training)
        smaller = read(to_model(smaller).SerializeToString())  # as whoever loads the file will have it
        plan = build_plan(planned_graph(smaller, types, settings), target(settings.threads))
        if keeps(Network(smaller, plan), (PRUNING.name, ratio)):
            models[ratio] = smaller
    worth = value_of(types, {ratio: (model, settings) for ratio, model in models.items()}, wanted)
    best = winner_of(worth)
    shown = {str(ratio): worth.get(ratio, float("inf")) for ratio in (0.0, *pruning.ratios)}
    return models[best], best, (Tried(PRUNING.name, shown, str(best)),)
