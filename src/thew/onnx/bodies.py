"""If, Loop and Scan: the attributes of our ops for them, and the rules that bodies must keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thew import ops
from thew.errors import UnsupportedError
from thew.ir.graph import Graph
from thew.onnx.nodes import OnnxNode

GRAPH = 5  # AttributeProto.AttributeType
CONTROL_OPS = frozenset(("If", "Loop", "Scan"))


def control_attributes(node: OnnxNode, bodies: Mapping[str, Graph], captured: int) -> dict[str, Any]:
    """The attributes of our op. Scan of operator set 8, which ran over a batch, is brought to its later form."""
    attributes = {**node.attributes, **bodies, "captured": captured}
    if node.op_type == "Scan" and node.opset < 9:
        attributes["batched"], attributes["scan_input_directions"] = 1, attributes.pop("directions", ())
        if node.inputs.pop(0):
            raise UnsupportedError(
                f"{node}: lengths of sequences (operator set 8) are not supported; export the model again"
            )
    return attributes


def check_body(node: OnnxNode, body: Graph, given: int, captured: int) -> None:
    """Raises ModelError where a loop's or a scan's body does not take and give as many values as the node."""
    formals = len(body.inputs) - captured
    extra = 1 if node.op_type == "Loop" else 0  # the condition, which a loop's body gives back
    states = formals - 2 if node.op_type == "Loop" else formals - int(node.attributes["num_scan_inputs"])
    if given != formals or not 0 <= states <= formals:
        raise node.refuse(f"must have an input for each of its body's, got {given} for {formals}")
    if len(body.outputs) < states + extra or len(node.outputs) > len(body.outputs) - extra:
        raise node.refuse(
            f"body must give {states} states and {len(node.outputs)} outputs in all, got {len(body.outputs)}"
        )


def is_pure(graph: Graph) -> bool:
    """Whether a body gives the same outputs for the same inputs."""
    return all((op := ops.find(node.op)) is None or op.is_pure for node in graph.nodes)
