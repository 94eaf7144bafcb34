"""Fine-tuning of what was made smaller: some epochs of training from where it stands.

Zeros of masks are held; a quantised network trains with its roundings in place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from thew.compress.accuracy import Data
from thew.compress.criteria import without_softmax
from thew.compress.observe import Progress, silent
from thew.compress.post_training import Quantized
from thew.compress.quantisation_aware import prepare as fake_quantized
from thew.ir import Graph, TensorType, Value
from thew.ir.graph import Array, as_constant
from thew.nn import GraphModule, Module
from thew.optim import Adam, CosineAnnealing
from thew.passes.quantisable import sites
from thew.passes.quantise import Encoding, Weights, quantise
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


@dataclass(frozen=True)
class Training:
    """How a network is trained on: Adam, whose steps do not depend on how gradients are scaled, on cross-entropy.

    Attributes:
        epochs: how many.
        learning_rate: at the start; it falls to 0 along a cosine.
        batch_size: samples of a step.
        threads: workers.
        seed: of the order of samples.
        progress: called with what is done, how much of it, and of how much.
    """

    epochs: int
    learning_rate: float = 1e-3
    batch_size: int = 32
    threads: int = 1
    seed: int = 0
    progress: Progress = silent

    def run(self, model: Module, data: Data, masks: Mapping[str, Array]) -> None:
        """Trains a module; its arrays change where they are."""
        trainer = Trainer(
            model,
            loss="cross_entropy",
            optimizer=Adam(lr=self.learning_rate),
            input_shape=data.x.shape[1:],
            threads=self.threads,
            seed=self.seed,
            schedule=CosineAnnealing(max(self.epochs * -(-len(data.x) // self.batch_size), 1)),
        )
        held = _Held(masks, self.epochs, self.progress)
        batch = min(self.batch_size, len(data.x))
        trainer.fit((data.x, data.y), self.epochs, batch, callbacks=[held], progress=False)


def finetune(graph: Graph, data: Data, training: Training, masks: Mapping[str, Array] | None = None) -> Graph:
    """The graph after some epochs of training, from where its weights stand.

    Args:
        graph: a classifier; a softmax at its end is left out while training.
        data: samples and classes.
        training: how long, and how.
        masks: what of a constant may differ from 0, by name.
    """
    first, scale, scaled = _scaled(graph, data)
    model = GraphModule(scaled)
    training.run(model, Data(data.x / scale, data.y), masks or {})
    return _with_constants(graph, model.original.constants, first, scale)


def finetune_quantized(graph: Graph, kept: Collection[str], data: Data, training: Training) -> Quantized:
    """The quantised network after some epochs of training, in which it rounds as integers will.

    Args:
        graph: a float classifier from `quantisable.prepare`.
        kept: keys of layers that stay float.
        data: samples and classes.
        training: how long, and how.
    """
    first, scale, scaled = _scaled(graph, data)
    samples = Data(data.x / scale, data.y)
    model = fake_quantized(scaled, samples.x, kept=kept, threads=training.threads)
    training.run(model, samples, {})
    learnt = model.quantized()
    exact = _with_constants(graph, model.state_dict(), first, scale)
    chosen = sites(exact, kept)
    encodings, weights = dict(learnt.encodings), dict(learnt.weights)
    for layer in chosen.layers.values():
        if layer.weight in first and layer.operands[0] in encodings:
            own = weights[layer.key]
            weights[layer.key] = Weights(own.integers, Encoding(own.encoding.scale / scale, own.encoding.zero))
    for value in exact.inputs:
        if first and value.name in encodings:
            old = encodings[value.name]
            encodings[value.name] = Encoding(old.scale * scale, old.zero)
    made = quantise(exact, chosen, encodings, weights)
    return Quantized(made, learnt.layers, learnt.kept, encodings, weights)


def _scaled(graph: Graph, data: Data) -> tuple[tuple[str, ...], np.float32, Graph]:
    """The first weights, the scale of the samples, and the graph to be trained on samples without it."""
    first, spread = _first_weights(graph), float(data.x.std())
    scale = np.float32(spread if first and spread > 0 else 1.0)
    scaled = {name: graph.constants[name] * scale for name in first}
    return first, scale, _with_open_batch(without_softmax(graph.replace(constants={**graph.constants, **scaled})))


def _with_constants(graph: Graph, learnt: Mapping[str, Array], first: tuple[str, ...], scale: np.float32) -> Graph:
    """The graph with what was learnt, its first weights for samples as they are."""
    own = {name: as_constant(np.asarray(learnt.get(name, old), old.dtype)) for name, old in graph.constants.items()}
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
