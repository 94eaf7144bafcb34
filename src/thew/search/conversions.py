"""What lies between two precisions: the ops that bring a tensor from one to another, and the planner's problem with the
precision in the word for a layout.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import numpy as np

from thew.dtypes import to_numpy
from thew.ir import Graph, Node, TensorType, Value
from thew.plan import Target
from thew.plan.alternatives import OTHER, Alternative, satisfies
from thew.plan.choose import Formulation
from thew.search.environment import single
from thew.search.forms import FLOAT, INTEGER, Form


class Space(Protocol):
    """What the problem is about: an environment with precisions."""

    graph: Graph
    target: Target
    alternatives: dict[str, list[Alternative]]
    forms: dict[str, Form]
    between: dict[tuple[str, str, str], float]

    def precisions_of(self, name: str) -> tuple[str, ...]:
        """The precisions that a value may be in."""


def conversion_of(source: TensorType, result: TensorType) -> Graph:
    """A graph that brings a tensor into another precision; times of integers do not depend on the steps."""
    constants, attributes = {}, {}
    if source.dtype in (FLOAT, INTEGER, "uint8") and result.dtype in (FLOAT, INTEGER, "uint8"):
        stored = source if result.dtype == FLOAT else result
        op = "dequantize_linear" if stored is source else "quantize_linear"
        constants = {"scale": np.ones((), np.float32), "zero": np.zeros((), to_numpy(stored.dtype))}
    else:
        op, attributes = "cast", {"to": result.dtype}
    node = Node(op, ("x", *constants), ("y",), attributes)
    return Graph(op, (Value("x", source),), ("y",), (node,), constants, {"y": result})


class MixedFormulation(Formulation):
    """The planner's problem, with the precision in the word for a layout."""

    def __init__(self, space: Space) -> None:
        self._space = space
        super().__init__(space.graph, space.target, single(space.alternatives))

    def _orders(self, name: str) -> tuple[str, ...]:
        layouts, precisions = super()._orders(name), self._space.precisions_of(name)
        return tuple(f"{precision}:{layout}" for precision in precisions for layout in layouts) or layouts

    def _fits(self, name: str, made: str, wanted: str) -> bool:
        (own, layout), (other, word) = _split(made), _split(wanted)
        return own == other and super()._fits(name, layout, word)

    def _conversion(self, name: str, made: str, wanted: str) -> float:
        (own, layout), (other, word) = _split(made), _split(wanted)
        if own == other:
            return self._moved(name, layout, word, own)
        through = min(self._moved(name, layout, word, precision) for precision in (own, other))
        return self._between(name, own, other) + through

    def _between(self, name: str, own: str, other: str) -> float:
        """From one precision to another, by way of fp32 where neither is that. What integers stand for is exact in
        fp32 and not in 16 bits, so that `reduce_precision` leaves what reads it alone.
        """
        ways = [(own, other)] if FLOAT in (own, other) else [(own, FLOAT), (FLOAT, other)]
        if own == INTEGER and other != FLOAT:
            return inf
        return sum(self._space.between.get((name, *way), inf) for way in ways)

    def _moved(self, name: str, made: str, wanted: str, precision: str) -> float:
        if satisfies(made, wanted, self._shape(name)):
            return 0.0
        form = self._space.forms.get(precision)
        stored = None if form is None else form.graph.type_of(form.stored[precision][name])
        if stored is None:
            return super()._conversion(name, made, wanted)
        if OTHER in (made, wanted):
            return inf
        return self.target.costs.copy_seconds(stored.static_shape, stored.dtype, self.target.threads)


def _split(word: str) -> tuple[str, str]:
    """Precision and layout; a word without a precision is fp32's."""
    precision, _, layout = word.rpartition(":")
    return precision or FLOAT, layout
