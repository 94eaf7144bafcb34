"""The intermediate representation: an immutable graph in SSA form. It knows nothing of what ops mean."""

from thew.ir.builder import GraphBuilder
from thew.ir.graph import Attribute, Dim, Graph, Node, TensorType, Value
from thew.ir.parse import parse_graph
from thew.ir.text import print_graph
from thew.ir.verify import verify

__all__ = [
    "Attribute",
    "Dim",
    "Graph",
    "GraphBuilder",
    "Node",
    "TensorType",
    "Value",
    "parse_graph",
    "print_graph",
    "verify",
]
