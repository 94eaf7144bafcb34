"""Gives the ops that act otherwise in training the forms that keep and draw by state.

batch_normalization in training mode becomes batch_norm_training, which counts the new batch's share in its momentum,
takes the unbiased variance, and keeps what its gradient needs. dropout becomes dropout_training, whose mask is a
function of the graph inputs `SEED` and `OFFSET`, which are added where a node draws; every node has its own stream.
"""

from __future__ import annotations

from thew.errors import UnsupportedError
from thew.ir import Graph, Node, TensorType, Value
from thew.passes.editor import Editor

SEED, OFFSET = "random.seed", "random.offset"


def lower_training(graph: Graph) -> Graph:
    """The graph with its training ops in these forms."""
    editor, draws = Editor(graph), 0
    for node in list(editor.walk()):
        if node.op == "batch_normalization" and node.attributes.get("training_mode"):
            editor.put(node, _kept(editor, node))
        elif node.op == "dropout" and _is_drawn(editor, node):
            editor.put(node, _drawn(editor, node, draws))
            draws += 1
    lowered = editor.graph()
    if not draws:
        return lowered
    numbers = tuple(Value(name, TensorType("int64", (1,))) for name in (SEED, OFFSET))
    return lowered.replace(inputs=(*lowered.inputs, *numbers))


def _kept(editor: Editor, node: Node) -> Node:
    outputs = (*node.outputs, "", "")[:3]
    stems = (f"{node.outputs[0]}.{what}" for what in ("y", "mean", "variance"))
    names = [name or editor.fresh(stem) for name, stem in zip(outputs, stems, strict=True)]
    saved = [editor.fresh(f"{node.outputs[0]}.{what}") for what in ("batch_mean", "inverse_deviation")]
    attributes = {
        "epsilon": node.attributes.get("epsilon", 1e-5),
        "momentum": 1 - float(node.attributes.get("momentum", 0.9)),  # type: ignore[arg-type]
    }
    return Node("batch_norm_training", node.inputs, (*names, *saved), attributes, node.name)


def _is_drawn(editor: Editor, node: Node) -> bool:
    training = editor.constant(node.input(2)) if node.input(2) else None
    if node.input(2) and training is None:
        raise UnsupportedError(f"{node}: whether it trains must be constant")
    return training is not None and bool(training.reshape(()))


def _drawn(editor: Editor, node: Node, stream: int) -> Node:
    if any(node.outputs[1:]):
        raise UnsupportedError(f"{node}: its mask must not be read in training")
    ratio = editor.number(node.input(1)) if node.input(1) else 0.5
    if ratio is None:
        raise UnsupportedError(f"{node}: its ratio must be constant")
    inputs = (node.inputs[0], SEED, OFFSET)
    return Node("dropout_training", inputs, node.outputs[:1], {"ratio": ratio, "stream": stream}, node.name)
