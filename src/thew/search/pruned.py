"""What a network loses of its weights: channels, blocks or a pattern. Each level is pruned and trained on, judged by
accuracy, and timed whole.

It comes before all else that is chosen: what follows is measured on the network that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from thew.compress import Pruner
from thew.compress.accuracy import Data
from thew.compress.finetune import Training, finetune
from thew.compress.masks import pattern_of
from thew.compress.observe import Progress, silent
from thew.compress.pruning import CHANNELS, sparse
from thew.errors import InputError
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
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
Level = float | str  # a share of channels, "n:m" or "block:" and a share
NONE = 0.0


def parsed(level: Level) -> tuple[str, float]:
    """The structure and share of a level. Raises InputError for what is none."""
    if isinstance(level, str):
        structure, _, share = level.partition(":") if level.startswith("block") else (level, "", "0.5")
        try:
            found = structure, float(share or 0.5)
        except ValueError:
            found = structure, NONE
    else:
        found = CHANNELS, level
    if isinstance(level, bool) or not isinstance(found[1], int | float) or not 0 < found[1] < 1:
        raise InputError(
            f'pruning: must be shares of channels between 0 and 1, "2:4" and the like, or "block:0.7", got {level!r}'
        )
    if found[0] != CHANNELS:
        pattern_of(found[0])
    return found


@dataclass(frozen=True)
class Pruning:
    """What is tried.

    Attributes:
        levels: shares of the channels of every group that go, patterns such as "2:4" (two of four inputs stay), or
            shares of blocks such as "block:0.7".
        epochs: of training after each.
        data: samples to train on.
    """

    levels: tuple[Level, ...] = ()
    epochs: int = 0
    data: Data | None = None

    def __post_init__(self) -> None:
        for level in self.levels:
            parsed(level)
        if self.epochs < 0 or (self.levels and self.data is None):
            raise InputError(
                f"pruning: must come with max_accuracy_drop, data and finetune_epochs of 0 or more, got {self.epochs}"
            )

    def applied(self, source: Graph, level: Level, threads: int, progress: Progress) -> Graph:
        """The model at a level, trained on where that is asked for; as whoever loads its file will have it."""
        structure, share = parsed(level)
        masks: dict[str, Array] = {}
        if structure == CHANNELS:
            smaller = Pruner(source, threads=threads).prune(share)
        else:
            smaller, masks = sparse(source, structure, share)
        if self.epochs and self.data is not None:
            smaller = finetune(smaller, self.data, Training(self.epochs, threads=threads, progress=progress), masks)
        return reloaded(smaller)


def reloaded(model: Graph) -> Graph:
    """A model as its file gives it back."""
    return read(to_model(model).SerializeToString())


def choose_pruning(
    source: Graph,
    types: Mapping[str, TensorType],
    pruning: Pruning,
    settings: Settings,
    keeps: Keeps,
    wanted: Objective,
    progress: Progress = silent,
) -> tuple[Graph, tuple[Tried, ...]]:
    """The model that goes on, and what was tried.

    Args:
        source: the model as it is.
        types: of its inputs.
        pruning: what is tried.
        settings: of threads, and of all that the planner's own plans have.
        keeps: whether a network's accuracy stays in bounds; its second argument names it.
        wanted: what decides among those that do.
        progress: called with what is done.
    """
    if not pruning.levels or pruning.data is None:
        return source, ()

    def made(level: Level) -> Graph:
        progress("pruning", pruning.levels.index(level), len(pruning.levels))
        return pruning.applied(source, level, settings.threads, progress)

    others = {level: made(level) for level in pruning.levels}
    return choose_model(PRUNING.name, {NONE: source, **others}, types, settings, keeps, wanted)


def choose_model(
    name: str,
    models: Mapping[Level, Graph],
    types: Mapping[str, TensorType],
    settings: Settings,
    keeps: Keeps,
    wanted: Objective,
) -> tuple[Graph, tuple[Tried, ...]]:
    """Of models, the first of which is the one as it is, the best that keeps its accuracy; and what each was worth."""
    usual, *others = models
    sound = {usual: models[usual]}
    for level in others:
        plan = build_plan(planned_graph(models[level], types, settings), target(settings.threads))
        if keeps(Network(models[level], plan), (name, level)):
            sound[level] = models[level]
    worth = value_of(types, {level: (model, settings) for level, model in sound.items()}, wanted)
    best = winner_of(worth)
    shown = {str(level): worth.get(level, float("inf")) for level in models}
    return models[best], (Tried(name, shown, str(best)),)
