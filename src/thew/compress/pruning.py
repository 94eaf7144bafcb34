"""`prune`: a network with fewer channels, or with zeros in patterns, trained on from there where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thew.compress.accuracy import Accuracy, Data, labelled
from thew.compress.criteria import CRITERIA, Importance
from thew.compress.finetune import Training, finetune
from thew.compress.judge import Judge
from thew.compress.masks import masked, pattern_of
from thew.compress.observe import Progress, silent
from thew.compress.post_training import Model, read
from thew.errors import InputError
from thew.ir import Graph
from thew.ir.graph import Array
from thew.passes.channel_rules import find_channels
from thew.passes.check_nodes import check_nodes
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.eliminate_no_ops import eliminate_no_ops
from thew.passes.fold_constants import fold_constants
from thew.passes.fold_pads import fold_pads
from thew.passes.lower_variadic import lower_variadic
from thew.passes.pipeline import run
from thew.passes.prune_channels import prune_channels
from thew.passes.quantisable import layers
from thew.runtime.cache import default_path

CHANNELS = "channels"
_PREPARE = (
    check_nodes, eliminate_dead, fold_constants, eliminate_no_ops, lower_variadic, fold_pads, eliminate_dead
)  # fmt: skip


@dataclass(frozen=True)
class Pruned:
    """A pruned model.

    Attributes:
        graph: the model.
        groups: channels before and after, by the first layer that makes them.
        zeros: share of weights that are 0.
        before: accuracy of the model as it was; None without labels.
        after: accuracy of the pruned one.
    """

    graph: Graph
    groups: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    zeros: float = 0.0
    before: Accuracy | None = None
    after: Accuracy | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as ONNX. The file appears whole or not at all."""
        from thew.onnx import export_onnx

        export_onnx(self.graph, path)


class Pruner:
    """A model whose channels are known by the groups that go together: gives smaller ones.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        criterion: what channels are judged by: "magnitude", "bn-scale" or "taylor".
        data: samples and classes, for "taylor".
        multiple: how many channels stay is rounded up to a multiple, which kernels like.
        threads: workers.

    Attributes:
        groups: numbers of channels, by the first layer that makes them.

    Raises:
        InputError: an argument is not one of those above.
    """

    def __init__(
        self, model: Model, criterion: str = "magnitude", data: Data | None = None, multiple: int = 8, threads: int = 1
    ) -> None:
        if criterion not in CRITERIA:
            raise InputError(f"criterion: must be one of {', '.join(CRITERIA)}, got {criterion!r}")
        if multiple < 1:
            raise InputError(f"multiple: must be at least 1, got {multiple}")
        self.graph = run(read(model), _PREPARE)
        self._channels = find_channels(self.graph)
        self._multiple = multiple
        self._importance: Importance = CRITERIA[criterion](self.graph, self._channels, data, threads)
        self.groups = {name: len(roots) for name, roots in self._channels.families.items()}

    def prune(self, ratios: Mapping[str, float] | float) -> Graph:
        """The model without the least important channels of each group.

        Args:
            ratios: share of channels that go, by group, or for all.

        Raises:
            InputError: a ratio is not from 0 to below 1, or there is no such group.
        """
        shares = dict.fromkeys(self.groups, ratios) if isinstance(ratios, int | float) else dict(ratios)
        unknown = sorted(set(shares) - set(self.groups))
        if unknown:
            raise InputError(f"ratio: must be of groups, which are {list(self.groups)}, got {unknown}")
        removed: list[int] = []
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise InputError(f"ratio: must be from 0 to below 1, got {share} for {name!r}")
            roots = self._channels.families[name].tolist()
            order = sorted(roots, key=lambda root: self._importance.get(root, 0.0))
            removed.extend(order[: len(roots) - self._left(len(roots), share)])
        return prune_channels(self.graph, self._channels, removed)

    def _left(self, count: int, share: float) -> int:
        wanted = max(1, round(count * (1 - share)))
        return min(count, -(-wanted // self._multiple) * self._multiple)


def prune(
    model: Model,
    ratio: float | Mapping[str, float] = 0.3,
    *,
    criterion: str = "magnitude",
    structure: str = CHANNELS,
    data: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    multiple: int = 8,
    finetune_epochs: int = 0,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    threads: int = 1,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Pruned:
    """Makes a network smaller: fewer channels, with all that depends on them, or zeros in patterns.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        ratio: share of channels (or of blocks) that go, for all groups or by group.
        criterion: what channels are judged by: "magnitude", "bn-scale" or "taylor" (needs data).
        structure: "channels", or weights that become 0 where they are: "2:4" (two of every four inputs stay) and the
            like, or "block" (one input of 16 outputs). Dense layers and 1×1 convolutions run faster for it where they
            wait for weights or most blocks are gone; all other layers gain from channels only.
        data: (x, y) to judge channels by and to train on.
        validation: (x, y) that accuracy is measured on; by default `data`.
        multiple: how many channels of a group stay is rounded up to a multiple.
        finetune_epochs: epochs of training from where pruning leaves the network.
        learning_rate: of the training, at its start.
        batch_size: samples of a step of training.
        threads: workers.
        seed: of the order of samples in training.
        cache: file that answers are kept in; by default that of measurements.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The pruned model.

    Raises:
        InputError: an argument is not one of those above, or data do not fit.

    Example:
        >>> pruned = prune("model.onnx", 0.3, data=(x, y), finetune_epochs=5)
        >>> pruned.save("smaller.onnx")
    """
    samples = None if data is None else labelled(data)
    if finetune_epochs and samples is None:
        raise InputError(f"finetune_epochs: must come with data=(x, y), got {finetune_epochs} without; give data")
    source = read(model)
    groups: dict[str, tuple[int, int]] = {}
    masks: dict[str, Array] = {}
    if structure == CHANNELS:
        pruner = Pruner(source, criterion, samples, multiple, threads)
        graph = pruner.prune(ratio)
        groups = {name: (count, find_channels(graph).families[name].size) for name, count in pruner.groups.items()}
    else:
        graph, masks = sparse(source, structure, ratio)
    if finetune_epochs and samples is not None:
        training = Training(finetune_epochs, learning_rate, batch_size, threads, seed, progress)
        graph = finetune(graph, samples, training, masks)
    before = after = None
    asked = samples if validation is None else labelled(validation)
    if asked is not None:
        judge = Judge(source, asked, threads=threads, cache=cache or default_path())
        before, after = judge.before, judge.accuracy(graph)
    return Pruned(graph, groups, _zeros(graph), before, after)


def sparse(source: Graph, structure: str, ratio: Any = 0.0) -> tuple[Graph, dict[str, Array]]:
    """A model with zeros in a pattern, "block" or n:m, and the masks of its weights.

    Raises:
        InputError: there is no such pattern, or `ratio`, of blocks, is not from 0 to below 1.
    """
    pattern_of(structure)
    if not isinstance(ratio, int | float) or not 0 <= ratio < 1:
        raise InputError(f"ratio: must be a number from 0 to below 1 for {structure}, got {ratio!r}")
    prepared = run(source, _PREPARE)
    return masked(prepared, layers(prepared), structure, float(ratio))


def _zeros(graph: Graph) -> float:
    weights = [graph.constants[layer.weight] for layer in layers(graph).values() if layer.weight]
    total = sum(weight.size for weight in weights)
    return 1 - sum(int(np.count_nonzero(weight)) for weight in weights) / total if total else 0.0
