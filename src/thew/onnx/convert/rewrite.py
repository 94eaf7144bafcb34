"""What a converter works with: the node to change, and a `Rewrite` that takes the constants and the nodes it adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thew.ir.graph import Array
from thew.onnx.nodes import OnnxNode
from thew.onnx.schemas import NEWEST_OPSET

Rule = Callable[[OnnxNode, "Rewrite"], None]
_RULES: dict[str, list[tuple[int, Rule]]] = {}


class Rewrite:
    """The additions to one node: constants, nodes before it and nodes after it. Names are made final by the
    importer.
    """

    def __init__(self, dtype: Callable[[str], str | None], rank: Callable[[str], int | None]) -> None:
        self.dtype = dtype
        self.rank = rank
        self.constants: dict[str, Array] = {}
        self.before: list[OnnxNode] = []
        self.after: list[OnnxNode] = []
        self.fresh: list[str] = []

    def name(self, stem: str) -> str:
        """A name for a value that the rewrite adds."""
        name = f"{stem}~{len(self.fresh)}"
        self.fresh.append(name)
        return name

    def constant(self, array: Any, dtype: Any, stem: str) -> str:
        """Adds a constant."""
        name = self.name(stem)
        self.constants[name] = np.array(array, dtype)
        return name

    def node_before(self, op_type: str, inputs: list[str], stem: str, **attributes: Any) -> str:
        """Adds a node that runs before, and gives its output."""
        output = self.name(stem)
        self.before.append(OnnxNode(op_type, "", NEWEST_OPSET, inputs, [output], attributes, stem))
        return output

    def node_after(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Adds a node that runs after, with a given output."""
        self.after.append(OnnxNode(op_type, "", NEWEST_OPSET, inputs, [output], attributes, output))


def converts(*op_types: str, before: int) -> Callable[[Rule], Rule]:
    """Registers a rule for operators in operator sets older than `before`."""

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            _RULES.setdefault(op_type, []).append((before, rule))
            _RULES[op_type].sort(key=lambda entry: entry[0])
        return rule

    return register


def convert(node: OnnxNode, rewrite: Rewrite) -> None:
    """Brings a node to the latest form of its operator."""
    for before, rule in _RULES.get(node.op_type, ()):
        if node.opset < before:
            rule(node, rewrite)
