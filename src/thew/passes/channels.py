"""Channels that go together, and the bookkeeping by which they are found.

Every element of a value's channel axis (axis 1) is an *atom*. Ops hand atoms on, tie or join them, or make new ones
(`thew.passes.channel_rules`). What is left after the walk are classes of atoms, each with the slices of constants that
belong to it (the dependency graph of Fang et al., "DepGraph", 2023). Atoms that reach an input, an output or an op
without a rule are *frozen*: they stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from thew.ir import Graph, Node, TensorType
from thew.ir.graph import Array

MAKES, TAKES, SCALES = "makes", "takes", "scales"  # what a constant's slice does with a channel


@dataclass(frozen=True, eq=False)
class Use:
    """A constant whose slices along an axis belong to channels.

    Attributes:
        constant: its name.
        axis: along which slices lie.
        atoms: the class of each slice.
        role: whether slices make channels, take them, or scale and shift them one by one.
        node: the first output of the node that reads it.
    """

    constant: str
    axis: int
    atoms: Array
    role: str
    node: str


@dataclass(frozen=True)
class Channels:
    """Channels of a graph.

    Attributes:
        families: classes that are made by the same layers and read by the same ones, by the first such layer; frozen
            ones are not among them.
        uses: all slices of constants, with the atoms resolved to their classes.
        per_channel: nodes that treat every channel apart in a group of its own, with the classes.
        shaped: constants that hold a number of channels at a place, with the classes.
    """

    families: Mapping[str, Array]
    uses: tuple[Use, ...]
    per_channel: Mapping[str, Array]
    shaped: Mapping[str, tuple[int, Array]]


@dataclass
class Walk:
    """Atoms so far: a forest of classes, and who uses them."""

    graph: Graph
    types: Mapping[str, TensorType]
    _parents: list[int] = field(default_factory=list)
    _frozen: set[int] = field(default_factory=set)
    _values: dict[str, Array] = field(default_factory=dict)
    _uses: list[Use] = field(default_factory=list)
    _per_channel: dict[str, Array] = field(default_factory=dict)
    shaped: dict[str, tuple[int, Array]] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """A value's shape, of which the batch is a guess."""
        known = self.types.get(name) or self.graph.type_of(name)
        return known.static_shape if known is not None and known.is_static else None

    def fresh(self, count: int) -> Array:
        """New atoms."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def of(self, name: str) -> Array:
        """The atoms of a value; a value that no rule has made is frozen."""
        if name not in self._values:
            shape = self.shape(name) or ()
            self._values[name] = self.fresh(shape[1] if len(shape) > 1 else 0)
            self.freeze(self._values[name])
        return self._values[name]

    def give(self, node: Node, atoms: Array) -> None:
        """Says which atoms a node's first output has; frozen ones where they do not fit its shape."""
        shape = self.shape(node.outputs[0])
        if shape is not None and len(shape) > 1 and shape[1] == len(atoms):
            self._values[node.outputs[0]] = atoms
        else:
            self.freeze(atoms)

    def root(self, atom: int) -> int:
        """The class of an atom."""
        while self._parents[atom] != atom:
            self._parents[atom] = self._parents[self._parents[atom]]
            atom = self._parents[atom]
        return atom

    def tie(self, a: Array, b: Array) -> None:
        """Makes atoms of two values the same, pair by pair."""
        for left, right in zip(map(self.root, a.tolist()), map(self.root, b.tolist()), strict=True):
            self._parents[right] = left

    def freeze(self, atoms: Array) -> None:
        """Keeps atoms from being removed."""
        self._frozen.update(atoms.tolist())

    def use(self, node: Node, name: str, axis: int, atoms: Array, role: str) -> None:
        """Notes that slices of a constant belong to atoms; a constant that others read too must stay."""
        if self.graph.use_count(name) != 1:
            self.freeze(atoms)
        self._uses.append(Use(name, axis, atoms, role, node.outputs[0]))

    def per_channel(self, node: Node, atoms: Array) -> None:
        """Notes a node with a group for each channel."""
        self._per_channel[node.outputs[0]] = atoms

    def result(self) -> Channels:
        """Classes by who makes and reads them."""
        frozen = {self.root(atom) for atom in self._frozen}
        uses = tuple(replace(use, atoms=self._roots(use.atoms)) for use in self._uses)
        touched: dict[int, list[int]] = {}
        for number, use in enumerate(uses):
            for root in dict.fromkeys(use.atoms.tolist()):
                touched.setdefault(root, []).append(number)
        families: dict[tuple[int, ...], list[int]] = {}
        for root, numbers in touched.items():
            if root not in frozen and any(uses[number].role == MAKES for number in numbers):
                families.setdefault(tuple(numbers), []).append(root)
        named: dict[str, Array] = {}
        for readers, roots in families.items():
            stem = next(uses[number].node for number in readers if uses[number].role == MAKES)
            position = sum(name.split("#")[0] == stem for name in named)
            named[f"{stem}#{position + 1}" if position else stem] = np.asarray(roots)
        resolved = {key: self._roots(atoms) for key, atoms in self._per_channel.items()}
        shaped = {key: (place, self._roots(atoms)) for key, (place, atoms) in self.shaped.items()}
        return Channels(named, uses, resolved, shaped)

    def _roots(self, atoms: Array) -> Array:
        return np.asarray([self.root(atom) for atom in atoms.tolist()], np.int64)
