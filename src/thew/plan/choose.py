"""The choice over the whole graph: for every node the alternative, such that the estimated time of all nodes and of the
layout conversions between them is least.

A node is a variable of a `Problem`; its options are the layouts that it can run in, each at the cost of the cheapest
alternative of that kind. A value that one node reads is an edge, with the cost of a conversion where the layouts
differ. A value that several read is a variable of its own: the layout it is made in, and which others it is converted
to, once for all readers. Inputs and outputs of the graph are in C order.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import inf

from thew.errors import PlanError
from thew.ir import Graph, Node
from thew.plan.alternatives import ANY, OTHER, PLAIN, Alternative, alternatives_of, orders_of, satisfies
from thew.plan.choices import Choices, key_of
from thew.plan.options import PlanOptions
from thew.plan.solve import Problem, solve
from thew.plan.target import Target

Group = list[Alternative]  # those of one signature, cheapest first
_ABOUT = 1.05  # what measured rates differ by from one calibration to the next


def groups_of(alternatives: list[Alternative]) -> list[Group]:
    """Alternatives by signature, each group cheapest first; of those about as cheap the table's order decides."""
    groups: dict[object, Group] = {}
    for alternative in alternatives:
        groups.setdefault(alternative.signature, []).append(alternative)
    for group in groups.values():
        least = min(alternative.cost.seconds for alternative in group)
        group.sort(key=lambda alternative: max(alternative.cost.seconds, least * _ABOUT))
    return list(groups.values())


class Chooser:
    """Chooses for a graph, as often as lowering finds that some of what was chosen cannot be."""

    def __init__(self, graph: Graph, target: Target, options: PlanOptions, choices: Choices) -> None:
        self._graph, self._target, self._choices = graph, target, choices
        self._groups = {
            key_of(node): groups_of(alternatives_of(graph, target, node, options, choices)) for node in graph.nodes
        }
        self.refusals: dict[str, list[str]] = {}

    def refuse(self, key: str, signature: object, reason: str) -> None:
        """Takes the alternatives of a signature from a node: no kernel ran it so."""
        self._groups[key] = [group for group in self._groups[key] if group[0].signature != signature]
        self.refusals.setdefault(key, []).append(reason)

    def solution(self) -> dict[str, Group]:
        """For every node, by key, the alternatives of the best signature, cheapest first; none for a node without any.

        Raises:
            PlanError: a choice allows none of its node's alternatives.
        """
        for node in self._graph.nodes:
            choice = self._choices.get(key_of(node))
            if choice is not None and not self._groups[key_of(node)]:
                why = "; ".join(self.refusals.get(key_of(node), ["no candidate of that kind"]))
                raise PlanError(
                    f"{node}: choice must be one that a kernel can run, got {choice} ({why}); see `thew explain "
                    f"--alternatives`"
                )
        return Formulation(self._graph, self._target, self._groups).solution()


class Formulation:
    """The graph as a `Problem`.

    Attributes:
        problem: the nodes that have options are its first variables, in order.
        variables: theirs, by key.
    """

    def __init__(self, graph: Graph, target: Target, options: Mapping[str, list[Group]]) -> None:
        self.graph, self.target, self.options = graph, target, options
        self.problem = Problem()
        self.variables: dict[str, int] = {}
        self.makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            if options[key_of(node)]:
                for name in dict.fromkeys(filter(None, node.inputs)):
                    self.readers.setdefault(name, []).append(node)
        self._state()

    def _state(self) -> None:
        for node in self.graph.nodes:
            if self.options[key_of(node)]:
                costs = [group[0].cost.seconds for group in self.options[key_of(node)]]
                self.variables[key_of(node)] = self.problem.variable(costs)
        fixed = [value.name for value in self.graph.inputs]
        made = [name for node in self.graph.nodes for name in node.outputs if name]
        for name in (*fixed, *made):
            self._connect(name)

    def solution(self) -> dict[str, Group]:
        """The best group of every node, by key."""
        chosen = solve(self.problem)
        return {key: self.options[key][chosen[variable]] for key, variable in self.variables.items()}

    def _connect(self, name: str) -> None:
        readers, maker = self.readers.get(name, []), self.makers.get(name)
        is_output = name in self.graph.outputs
        if maker is not None and key_of(maker) not in self.variables:
            maker = None  # a node that nothing runs: the plan will say so
        if maker is not None and len(readers) + is_output == 1:
            if is_output:
                groups = self.options[key_of(maker)]
                self._add(maker, [self._conversion(name, self._made(group, maker, name), PLAIN) for group in groups])
            else:
                self._join(maker, readers[0], name)
        elif readers:
            self._share(name, maker, readers, is_output)

    def _add(self, node: Node, costs: list[float]) -> None:
        variable = self.variables[key_of(node)]
        self.problem.costs[variable] = [a + b for a, b in zip(self.problem.costs[variable], costs, strict=True)]

    def _join(self, maker: Node, reader: Node, name: str) -> None:
        """One reader: the conversion is a cost between the two."""

        def cost(made: Group, read: Group) -> float:
            wanted = self._wanted(read, reader, name)
            return sum(self._conversion(name, self._made(made, maker, name), layout) for layout in wanted)

        matrix = [[cost(made, read) for read in self.options[key_of(reader)]] for made in self.options[key_of(maker)]]
        self.problem.edge(self.variables[key_of(maker)], self.variables[key_of(reader)], matrix)

    def _share(self, name: str, maker: Node | None, readers: list[Node], is_output: bool) -> None:
        """Several readers: a variable for the layout that the value is made in, with those it is converted to."""
        layouts = (
            (PLAIN,)
            if maker is None
            else tuple(dict.fromkeys(self._made(group, maker, name) for group in self.options[key_of(maker)]))
        )
        states = [
            (made, others)
            for made in layouts
            for count in range(3)
            for others in combinations([layout for layout in self._orders(name) if layout != made], count)
        ]
        wants_plain = [
            inf if is_output and not any(self._fits(name, layout, PLAIN) for layout in (made, *others)) else 0.0
            for made, others in states
        ]
        costs = [
            sum(self._conversion(name, made, other) for other in others) + wanted
            for (made, others), wanted in zip(states, wants_plain, strict=True)
        ]
        shared = self.problem.variable(costs)
        if maker is not None:
            matrix = [
                [0.0 if self._made(group, maker, name) == made else inf for made, _ in states]
                for group in self.options[key_of(maker)]
            ]
            self.problem.edge(self.variables[key_of(maker)], shared, matrix)
        for reader in readers:
            groups = self.options[key_of(reader)]
            matrix = [
                [0.0 if self._served(name, state, group, reader) else inf for group in groups] for state in states
            ]
            self.problem.edge(shared, self.variables[key_of(reader)], matrix)

    # What a group makes and wants, and what lies between

    @staticmethod
    def _made(group: Group, maker: Node, name: str) -> str:
        return group[0].writes[[output for output in maker.outputs if output].index(name)]

    @staticmethod
    def _wanted(group: Group, reader: Node, name: str) -> set[str]:
        return {wanted for wanted, read in zip(group[0].reads, reader.inputs, strict=True) if read == name} - {ANY}

    def _shape(self, name: str) -> tuple[int, ...]:
        found = self.graph.type_of(name)
        return found.static_shape if found is not None and found.is_static else ()

    def _orders(self, name: str) -> tuple[str, ...]:
        """The layouts that a value may be converted to."""
        return orders_of(self._shape(name))

    def _served(self, name: str, state: tuple[str, tuple[str, ...]], group: Group, reader: Node) -> bool:
        made, others = state
        layouts = (made, *others)
        wanted = self._wanted(group, reader, name)
        return all(any(self._fits(name, layout, one) for layout in layouts) for one in wanted)

    def _fits(self, name: str, made: str, wanted: str) -> bool:
        return satisfies(made, wanted, self._shape(name))

    def _conversion(self, name: str, made: str, wanted: str) -> float:
        if wanted == OTHER:  # strides that only a view has: nothing is converted to them
            return 0.0 if made == OTHER else inf
        if self._fits(name, made, wanted):
            return 0.0
        found = self.graph.type_of(name)
        assert found is not None
        return self.target.costs.copy_seconds(found.static_shape, found.dtype, self.target.threads)
