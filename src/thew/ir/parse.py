"""Reads graphs from the text that `print_graph` writes; the grammar is in text.py.

The text is not trusted: what breaks the grammar is a ModelError that says line and column.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NoReturn

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import Error, ModelError
from thew.ir.graph import Array, Attribute, Dim, Graph, Node, TensorType, Value, as_constant
from thew.ir.text import digest

_DEPTH = 64  # how deep graphs and lists may nest
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<encoded>base64:[A-Za-z0-9+/=]+|sha256:[0-9a-f]+)
      | (?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf\b|nan\b)(?![A-Za-z0-9_./]))
      | (?P<arrow>->)
      | (?P<ellipsis>\.\.\.)
      | (?P<word>[A-Za-z0-9_./]+)
      | (?P<mark>[%(){}\[\],:=])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_graph(text: str, constants: Mapping[str, Array] | None = None) -> Graph:
    """The graph that `print_graph` wrote.

    Args:
        text: what was printed.
        constants: arrays for the constants of which the text holds a digest only, by value name.

    Raises:
        ModelError: the text breaks the grammar, or a constant is missing or differs; it says line and column.
    """
    parser = _Parser(text, constants or {})
    graph = parser.graph()
    parser.expect_end()
    return graph


class _Parser:
    """Recursive descent over tokens; each method reads one production."""

    def __init__(self, text: str, constants: Mapping[str, Array]) -> None:
        self.text = text
        self.constants = constants
        self.tokens = list(self._tokenise())
        self.position = 0
        self.depth = 0

    def _tokenise(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                self.fail(f"a token must start here, got {self.text[at]!r}", at)
            if match.lastgroup != "space":
                yield _Token(match.lastgroup or "", match.group(), at)
            at = match.end()
        yield _Token("end", "", len(self.text))

    def fail(self, rule: str, at: int | None = None) -> NoReturn:
        at = self.tokens[self.position].at if at is None else at
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise ModelError(f"graph text, line {line}, column {column}: {rule}")

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def accept(self, text: str) -> bool:
        if self.next.text == text and self.next.kind != "string":
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"must be '{text}', got '{self.next.text or 'the end'}'")

    def expect_end(self) -> None:
        if self.next.kind != "end":
            self.fail(f"must end after the graph, got '{self.next.text}'")

    def take(self, *kinds: str) -> str:
        if self.next.kind not in kinds:
            self.fail(f"must be a {' or '.join(kinds)}, got '{self.next.text or 'the end'}'")
        self.position += 1
        return self.tokens[self.position - 1].text

    def string(self) -> str:
        at = self.next.at
        try:
            return str(json.loads(self.take("string")))
        except ValueError as error:
            self.fail(f"text must be quoted as in JSON, got {error}", at)

    def name(self) -> str:
        return self.string() if self.next.kind == "string" else self.take("word", "number")

    def value(self) -> str:
        if self.accept("_"):
            return ""
        self.expect("%")
        return self.name()

    def integer(self) -> int:
        at, text = self.next.at, self.take("number")
        try:
            return int(text)
        except ValueError:
            self.fail(f"must be an integer, got '{text[:32]}'", at)

    def separated(self, close: str) -> Iterator[None]:
        """Yields once for each item of a comma-separated list, up to and with `close`."""
        if self.accept(close):
            return
        while True:
            yield
            if self.accept(close):
                return
            if not self.accept(","):
                self.fail(f"must be ',' or '{close}', got '{self.next.text or 'the end'}'")

    def graph(self) -> Graph:
        self.depth += 1
        if self.depth > _DEPTH:
            self.fail(f"graphs and lists may nest {_DEPTH} deep at most")
        self.expect("graph")
        name = self.name()
        self.expect("(")
        inputs = tuple(self.graph_input() for _ in self.separated(")"))
        self.expect("->")
        self.expect("(")
        outputs = tuple(self.value() for _ in self.separated(")"))
        self.expect("{")
        constants: dict[str, Array] = {}
        nodes: list[Node] = []
        types: dict[str, TensorType] = {}
        while not self.accept("}"):
            if self.accept("const"):
                at, constant = self.next.at, self.value()
                self.expect(":")
                if constant in constants:
                    self.fail(f"constant '{constant}' must be defined once", at)
                constants[constant] = self.tensor(constant)
            else:
                nodes.append(self.node(types))
        self.depth -= 1
        return Graph(name, inputs, outputs, tuple(nodes), constants, types)

    def graph_input(self) -> Value:
        name = self.value()
        self.expect(":")
        return Value(name, self.type())

    def node(self, types: dict[str, TensorType]) -> Node:
        outputs = []
        for _ in self.separated("="):
            outputs.append(self.value())
            if self.accept(":"):
                types[outputs[-1]] = self.type()
        op = self.name()
        self.expect("(")
        inputs = tuple(self.value() for _ in self.separated(")"))
        attributes: dict[str, Attribute] = {}
        if self.accept("{"):
            for _ in self.separated("}"):
                key = self.name()
                self.expect("=")
                attributes[key] = self.attribute()
        name = self.string() if self.next.kind == "string" else ""
        return Node(op, inputs, tuple(outputs), attributes, name)

    def type(self) -> TensorType:
        dtype = self.take("word")
        self.expect("[")
        if self.accept("..."):
            self.expect("]")
            return TensorType(dtype, None)
        return TensorType(dtype, tuple(self.extent() for _ in self.separated("]")))

    def extent(self) -> Dim:
        return self.integer() if self.next.kind == "number" else self.name()

    def attribute(self) -> Attribute:
        kind, text = self.next.kind, self.next.text
        if kind == "string":
            return self.string()
        if kind == "number":
            return self.integer() if re.fullmatch(r"[-+]?\d+", text) else float(self.take("number"))
        if text == "graph":
            return self.graph()
        if self.accept("tensor"):
            return self.tensor("")
        if self.accept("true"):
            return True
        if self.accept("false"):
            return False
        if self.accept("["):
            self.depth += 1
            if self.depth > _DEPTH:
                self.fail(f"graphs and lists may nest {_DEPTH} deep at most")
            items = tuple(self.attribute() for _ in self.separated("]"))
            self.depth -= 1
            return items
        self.fail(f"must be an attribute: a number, text, true, false, a list, a tensor or a graph, got '{text}'")

    def tensor(self, name: str) -> Array:
        at, known = self.next.at, self.type()
        if not known.is_static or any(extent < 0 for extent in known.static_shape):
            self.fail(f"the type of a constant must have numbers of at least 0 as extents, got {known}", at)
        try:
            to_numpy(known.dtype)
        except Error as error:
            self.fail(str(error), at)
        self.expect("=")
        at = self.next.at
        if self.next.kind == "encoded":
            kind, _, encoded = self.take("encoded").partition(":")
            array = self.stored(name, encoded, known, at) if kind == "sha256" else self.decoded(encoded, known, at)
            return as_constant(array)
        items = self.attribute()
        if not isinstance(items, tuple) or len(items) != prod(known.static_shape):
            self.fail(f"a constant {known} must be a list of {prod(known.static_shape)} elements", at)
        try:
            flat = np.array([float(x) if isinstance(x, int) and known.dtype[0] in "fb" else x for x in items], object)
            return as_constant(flat.astype(to_numpy(known.dtype)).reshape(known.static_shape))
        except (TypeError, ValueError, OverflowError) as error:
            self.fail(f"elements must be of {known.dtype}, got {error}", at)

    def stored(self, name: str, wanted: str, known: TensorType, at: int) -> Array:
        array = self.constants.get(name)
        if array is None:
            self.fail(f"constant '{name}' is known by its digest only; pass it in `constants`", at)
        if (from_numpy(array.dtype), array.shape) != (known.dtype, known.shape) or wanted != digest(array):
            self.fail(
                f"constant '{name}' must be {known} with digest {wanted}, got other data; pass the array it had", at
            )
        return array

    def decoded(self, encoded: str, known: TensorType, at: int) -> Array:
        try:
            raw = base64.b64decode(encoded, validate=True)
            dtype = to_numpy(known.dtype)
            if len(raw) != dtype.itemsize * prod(known.static_shape) or known.dtype == "string":
                self.fail(
                    f"data of {known} must have {dtype.itemsize * prod(known.static_shape)} bytes, got {len(raw)}", at
                )
            return np.frombuffer(raw, dtype).reshape(known.static_shape)
        except binascii.Error as error:
            self.fail(f"data must be base64, got {error}", at)
