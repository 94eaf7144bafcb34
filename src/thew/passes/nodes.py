"""`Nodes`: the nodes that one is turned into, made one after the other and put in its place together."""

from __future__ import annotations

import numpy as np

from thew.ir import Node
from thew.ir.graph import Attribute
from thew.passes.editor import Editor


class Nodes:
    """Collects nodes in place of one; values are named after its output, nodes bear its name."""

    def __init__(self, editor: Editor, node: Node) -> None:
        self._editor, self._node = editor, node
        self._nodes: list[Node] = []

    def add(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Adds a node, and returns the name of its output."""
        output = self._editor.fresh(f"{self._node.outputs[0]}.{op}")
        self._nodes.append(Node(op, inputs, (output,), attributes, self._node.name))
        return output

    def integers(self, values: object) -> str:
        """A constant of integers."""
        return self._editor.add_constant(np.asarray(values, np.int64), f"{self._node.outputs[0]}.integers")

    def reshape(self, value: str, *shape: int) -> str:
        """A value in another shape."""
        return self.add("reshape", value, self.integers(shape))

    def transpose(self, value: str, *perm: int) -> str:
        """A value with its axes in another order."""
        return self.add("transpose", value, perm=perm)

    def end(self, output: str) -> None:
        """Puts the nodes in the place of the old one, whose output that one is now."""
        last = self._nodes[-1]
        assert last.outputs == (output,)
        self._editor.put(self._node, *self._nodes[:-1], last.replace(outputs=self._node.outputs[:1]))
