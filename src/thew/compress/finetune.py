"""Fine-tuning of what was made smaller: some epochs of training from where it stands, zeros of masks held."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thew.compress.accuracy import Data
from thew.compress.criteria import without_softmax
from thew.compress.observe import Progress, silent
from thew.ir import Graph, TensorType, Value
from thew.ir.graph import Array, as_constant
from thew.nn import GraphModule
from thew.optim import Adam, CosineAnnealing
from thew.train import Trainer
from thew.train.callbacks import Callback, Row


class _Held(Callback):
    """Puts zeros back after every step, and says how far training is."""

    def __init__(self, masks: Mapping[str, Array], epochs: int, progress: Progress) -> None:
        self._masks, self._epochs, self._progress = masks, epochs, progress
        self._done = 0

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        if self._masks:
            own = trainer.model.state_dict()
            for name, mask in self._masks.items():
                own[name] *= mask

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        self._done += 1
        self._progress("fine-tuning", self._done, self._epochs)


def finetune(
    graph: Graph,
    data: Data,
    epochs: int,
    *,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    masks: Mapping[str, Array] | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> Graph:
    """The graph after some epochs of training with cross-entropy, from where its weights stand.

    Args:
        graph: a classifier; a softmax at its end is left out while training.
        data: samples and classes.
        epochs: how many.
        learning_rate: of Adam, whose steps do not depend on how inputs are scaled; it falls to 0 along a cosine.
        batch_size: samples of a step.
        masks: what of a constant may differ from 0, by name.
        threads: workers.
        seed: of the order of samples.
        progress: called with what is done, how much of it, and of how much.
    """
    first, spread = _first_weights(graph), float(data.x.std())
    scale = np.float32(spread if first and spread > 0 else 1.0)
    scaled = {name: graph.constants[name] * scale for name in first}
    model = GraphModule(_with_open_batch(without_softmax(graph.replace(constants={**graph.constants, **scaled}))))
    steps = max(epochs * -(-len(data.x) // batch_size), 1)
    trainer = Trainer(
        model,
        loss="cross_entropy",
        optimizer=Adam(lr=learning_rate),
        input_shape=data.x.shape[1:],
        threads=threads,
        seed=seed,
        schedule=CosineAnnealing(steps),
    )
    held = _Held(masks or {}, epochs, progress)
    trainer.fit((data.x / scale, data.y), epochs, min(batch_size, len(data.x)), callbacks=[held], progress=False)
    learnt = model.original.constants
    own = {name: as_constant(learnt.get(name, array)) for name, array in graph.constants.items()}
    return graph.replace(constants={**own, **{name: as_constant(own[name] / scale) for name in first}})


def _first_weights(graph: Graph) -> tuple[str, ...]:
    """The weights that samples are multiplied with first.

    They take over the scale of the samples while training, so that its steps suit them as they suit all others: weights
    for samples from 0 to 255 are hundreds of times smaller.
    """
    readers = [node for value in graph.inputs for node in graph.consumers.get(value.name, ())]
    names = tuple(dict.fromkeys(node.input(1) for node in readers))
    fits = all(node.op in ("conv", "gemm", "matmul") and node.inputs[0] != node.input(1) for node in readers)
    return names if fits and all(name in graph.constants and graph.use_count(name) == 1 for name in names) else ()


def _with_open_batch(graph: Graph) -> Graph:
    """The graph with its inputs' first extents open, so that it takes batches."""
    inputs = tuple(
        Value(value.name, TensorType(value.type.dtype, ("batch", *(value.type.shape or ())[1:])))
        for value in graph.inputs
    )
    return graph.replace(inputs=inputs, types={})
