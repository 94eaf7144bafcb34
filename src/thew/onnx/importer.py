"""Walks an ONNX graph and builds Thew's: converts every node to the latest form of its op, expands functions, and
leaves what no op covers to foreign ops.

A node becomes one of ours only where our op takes all that it says: counts of inputs and outputs, and each attribute,
either known to the op or at ONNX's default. Nothing is ever dropped in silence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from thew import ops
from thew.dtypes import from_numpy
from thew.errors import ModelError
from thew.ir.graph import Array, Graph, Node, TensorType, Value, as_constant
from thew.ir.verify import verify
from thew.onnx import constants, foreign, functions
from thew.onnx.bodies import CONTROL_OPS, GRAPH, check_body, control_attributes, is_pure
from thew.onnx.convert import Rewrite, convert
from thew.onnx.declarations import all_names, opsets_of, value_type
from thew.onnx.element_types import dtype_of
from thew.onnx.limits import Budget, check_depth
from thew.onnx.names import op_name
from thew.onnx.nodes import OnnxNode, decode_attribute, node_label
from thew.onnx.schemas import NEWEST_OPSET, check_node, default_attributes, schema_of
from thew.onnx.scope import NotCoveredError, Scope
from thew.onnx.tensors import TensorReader

DTYPE_ATTRIBUTES = frozenset(("to", "dtype", "output_dtype", "stash_type", "softmax_precision", "precision"))


class Importer:
    """Builds one graph from one ModelProto."""

    def __init__(self, model: Any, tensors: TensorReader, budget: Budget) -> None:
        self._model = model
        self._tensors = tensors
        self._budget = budget
        self._opsets = opsets_of(model.opset_import) or {"": 1}  # as before there were operator sets
        self._functions = functions.local_functions(model)
        self._constants: dict[str, Array] = {}
        self._nodes: list[Node] = []
        self._dtypes: dict[str, str] = {}
        self._taken: set[str] = set()
        self._lazy_types: foreign.InferredTypes = foreign.InferredTypes(model)

    def graph(self) -> Graph:
        """The graph. Raises thew.Error where the model breaks a rule."""
        proto = self._model.graph
        self._taken = all_names(proto)
        self._initializers(proto)
        inputs = tuple(self._input(value) for value in proto.input if value.name not in self._constants)
        self._walk(proto.node, Scope(self._opsets))
        outputs = tuple(value.name for value in proto.output)
        return Graph(
            proto.name or "graph", inputs, outputs, tuple(self._nodes), self._constants, self._output_types(proto)
        )

    def _initializers(self, proto: Any) -> None:
        for tensor in proto.initializer:
            self._add_constant(tensor.name, self._tensors.tensor(tensor, f"initializer '{tensor.name}'"))
        for sparse in proto.sparse_initializer:
            name = sparse.values.name
            self._add_constant(name, self._tensors.sparse(sparse, f"initializer '{name}'"))

    def _add_constant(self, name: str, array: Array) -> None:
        if not name or name in self._constants:
            raise ModelError(f"constant '{name}': must have a name of its own")
        self._constants[name] = as_constant(array)
        self._dtypes[name] = from_numpy(array.dtype)

    def _input(self, proto: Any) -> Value:
        tensor = value_type(proto.type, proto.name, f"input '{proto.name}'")
        self._dtypes[proto.name] = tensor.dtype
        return Value(proto.name, tensor)

    def _output_types(self, proto: Any) -> dict[str, TensorType]:
        inputs = {value.name for value in proto.input} | set(self._constants)
        types = {}
        for value in proto.output:
            if value.name not in inputs and value.type.WhichOneof("value"):
                types[value.name] = value_type(value.type, value.name, f"output '{value.name}'")
        return types

    def _walk(self, protos: Iterable[Any], scope: Scope) -> None:
        for proto in protos:
            self._budget.take_node(node_label(proto))
            self._node(proto, scope)

    def _node(self, proto: Any, scope: Scope) -> None:
        label = node_label(proto)
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        local = self._functions.get((domain, proto.op_type, proto.overload))
        inputs = [scope.resolve(name, label) for name in proto.input]
        outputs = self._define(proto, scope)
        if local is not None:
            self._call(local, proto, inputs, outputs, scope)
            return
        if domain not in scope.opsets:
            raise ModelError(
                f"{label}: domain '{domain or 'ai.onnx'}' must be among the operator sets that the model imports"
            )
        attributes = {item.name: decode_attribute(item, self._tensors, label) for item in proto.attribute}
        if len(attributes) != len(proto.attribute):
            raise ModelError(f"{label}: attributes must be distinct, got {[item.name for item in proto.attribute]}")
        node = OnnxNode(
            proto.op_type, domain, scope.opsets[domain], inputs, outputs, attributes, scope.prefix + proto.name
        )
        check_node(node, proto)
        if node.op_type == "Constant" and not domain:
            self._add_constant(node.outputs[0], constants.constant_value(node))
        elif node.op_type in CONTROL_OPS and not domain:
            self._control(node, proto, scope)
        elif not (self._ours(node) or self._expanded(node, proto, scope)):
            self._foreign(node, proto, scope)

    def _define(self, proto: Any, scope: Scope) -> list[str]:
        """The graph's names of a node's outputs."""
        if scope.names is None:
            return list(proto.output)
        for name in proto.output:
            if name and name not in scope.names:
                scope.names[name] = self._unique(scope.prefix + name)
        return [scope.names[name] if name else "" for name in proto.output]

    def _unique(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    # A node of ours

    def _ours(self, node: OnnxNode) -> bool:
        """Adds the node as ops of ours, if they cover it."""
        if node.domain or not self._takes_dtypes(node):
            return False
        rewrite = Rewrite(self._dtypes.get, self._rank)
        converted = node.copy()
        convert(converted, rewrite)
        chain = [*rewrite.before, converted, *rewrite.after]
        names = {name: self._unique(name) for name in rewrite.fresh}
        made = [self._translate(item, names) for item in chain]
        if any(item is None for item in made):
            return False
        for name, array in rewrite.constants.items():
            self._add_constant(names[name], array)
        self._nodes.extend(item for item in made if item is not None)
        return True

    def _takes_dtypes(self, node: OnnxNode) -> bool:
        kinds = {self._dtype(name) for name in (*node.inputs, *node.outputs) if name}
        return not kinds & {"opaque", "string"}

    def _dtype(self, name: str) -> str | None:
        return self._dtypes.get(name) or self._lazy_types.dtype(name)

    def _rank(self, name: str) -> int | None:
        known = self._lazy_types.proto(name, self._constants.get(name))
        return len(known.tensor_type.shape.dim) if known.tensor_type.HasField("shape") else None

    def _translate(self, node: OnnxNode, names: Mapping[str, str]) -> Node | None:
        """The node as one op of ours, or None where that op does not take all of it."""
        name = op_name(node.op_type)
        op = ops.find(name) if name else None
        inputs = tuple(_trimmed([names.get(value, value) for value in node.inputs]))
        outputs = tuple(_trimmed([names.get(value, value) for value in node.outputs]))
        if op is None or not _within(len(inputs), op.inputs) or not _within(len(outputs), op.outputs):
            return None
        defaults = default_attributes(node.op_type, node.domain, NEWEST_OPSET)
        attributes: dict[str, Any] = {}
        for key, value in node.attributes.items():
            if key in op.attributes:
                attributes[key] = _own_value(key, value, op.attributes[key], str(node))
            elif not _is_default(value, defaults.get(key)):
                return None
        return Node(op.name, inputs, outputs, attributes, node.name)

    # Functions

    def _call(self, function: Any, proto: Any, inputs: list[str], outputs: list[str], scope: Scope) -> None:
        """Expands a function of the model."""
        label = node_label(proto)
        body = functions.bound_body(function, proto, label)
        self._inline(function, body, inputs, outputs, scope, proto.name or proto.op_type, scope.is_trial)

    def _expanded(self, node: OnnxNode, proto: Any, scope: Scope) -> bool:
        """Adds the nodes of the body that ONNX gives for an operator, if our ops cover all of them."""
        function = functions.schema_function(node, proto, self._type_protos(node))
        if function is None:
            return False
        nodes, constants_before = len(self._nodes), len(self._constants)
        try:
            body = functions.bound_body(function, proto, str(node), schema_of(node))
            self._inline(function, body, node.inputs, node.outputs, scope, node.name or node.op_type, True)
        except NotCoveredError:
            del self._nodes[nodes:]
            while len(self._constants) > constants_before:
                self._constants.popitem()
            return False
        return True

    def _inline(
        self,
        function: Any,
        body: list[Any],
        inputs: list[str],
        outputs: list[str],
        scope: Scope,
        name: str,
        is_trial: bool,
    ) -> None:
        key = (function.domain, function.name)
        label = f"function '{function.name}'"
        check_depth(scope.depth + 1, label)
        if key in scope.stack:
            raise ModelError(f"{label}: must not call itself, got the calls {[item[1] for item in scope.stack]}")
        if len(inputs) > len(function.input) or len(outputs) > len(function.output):
            raise ModelError(f"{label}: takes {len(function.input)} inputs and gives {len(function.output)} outputs")
        names = dict(zip(function.input, [*inputs, *[""] * (len(function.input) - len(inputs))], strict=True))
        results = dict(zip(function.output, outputs, strict=False))
        names_defined = {item for node in body for item in node.output}
        for formal, actual in results.items():
            if actual and formal in names_defined:
                names[formal] = actual
        prefix = f"{scope.prefix}{name}/"
        # A body from a schema may leave out the operator sets that it has in common with its caller.
        opsets = {**({"": NEWEST_OPSET} | dict(scope.opsets) if is_trial else {}), **opsets_of(function.opset_import)}
        inner = Scope(opsets, names, prefix, scope.depth + 1, is_trial, (*scope.stack, key))
        self._walk(body, inner)
        for formal, actual in results.items():
            if actual and names.get(formal) != actual:
                self._nodes.append(Node("identity", (inner.resolve(formal, label),), (actual,), {}, actual))

    def _type_protos(self, node: OnnxNode) -> list[Any]:
        return [self._lazy_types.proto(name, self._constants.get(name)) for name in node.inputs]

    # Control flow

    def _control(self, node: OnnxNode, proto: Any, scope: Scope) -> None:
        """Adds If, Loop or Scan with graphs for bodies; what they capture comes in as further inputs, or goes in as
        constants.
        """
        check_depth(scope.depth + 1, str(node))
        captured = {name: scope.resolve(name, str(node)) for name in foreign.captured_names(proto)}
        fixed = {name: self._constants[value] for name, value in captured.items() if value in self._constants}
        open_names = {name: value for name, value in captured.items() if name not in fixed}
        bodies = {
            item.name: self._body(item.g, open_names, fixed, scope) for item in proto.attribute if item.type == GRAPH
        }
        if not all(is_pure(body) for body in bodies.values()):
            self._foreign(node, proto, scope)
            return
        attributes = control_attributes(node, bodies, len(open_names))
        inputs = (*node.inputs, *open_names.values())
        if node.op_type != "If":
            check_body(node, bodies["body"], len(node.inputs), len(open_names))
        self._nodes.append(
            Node(node.op_type.lower(), inputs, tuple(_trimmed(list(node.outputs))), attributes, node.name)
        )

    def _body(self, proto: Any, captured: Mapping[str, str], fixed: Mapping[str, Array], scope: Scope) -> Graph:
        """A subgraph as a graph of its own, whose last inputs are the values that it captures."""
        inner = copy.copy(self)
        inner._constants, inner._nodes = dict(fixed), []
        inner._dtypes = {name: dtype for name, value in captured.items() if (dtype := self._dtype(value))}
        inner._taken = all_names(proto) | set(captured) | set(fixed)
        inner._initializers(proto)
        formals = [inner._formal(value) for value in proto.input if value.name not in inner._constants]
        outer = [Value(name, TensorType(inner._dtypes.get(name, "opaque"), None)) for name in captured]
        inner._walk(proto.node, Scope(scope.opsets, None, "", scope.depth + 1, scope.is_trial, scope.stack))
        outputs = tuple(value.name for value in proto.output)
        inputs = (*formals, *outer)
        types = inner._output_types(proto)
        graph = Graph(proto.name or "body", inputs, outputs, tuple(inner._nodes), inner._constants, types)
        verify(graph)
        return graph

    def _formal(self, proto: Any) -> Value:
        """An input of a subgraph, whose type may be left open."""
        return self._input(proto) if proto.type.WhichOneof("value") else Value(proto.name, TensorType("opaque", None))

    # Foreign ops

    def _foreign(self, node: OnnxNode, proto: Any, scope: Scope) -> None:
        if scope.is_trial:
            raise NotCoveredError
        foreign.check_node_data(proto, scope.depth, self._budget, self._tensors)
        captured = foreign.captured_names(proto)
        names = list(dict.fromkeys([*filter(None, proto.input), *captured]))
        inputs = tuple(scope.resolve(name, str(node)) for name in names)
        self._nodes.append(foreign.make_node(node, proto, names, inputs, scope.opsets, self._model))


def _trimmed(names: list[str]) -> list[str]:
    while names and not names[-1]:
        names.pop()
    return names


def _within(count: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= count and (bounds[1] < 0 or count <= bounds[1])


def _is_default(value: Any, default: Any) -> bool:
    return bool(type(value) is type(default) and value == default)


def _own_value(key: str, value: Any, default: Any, where: str) -> Any:
    """An attribute as our op wants it: dtypes by name."""
    if key in DTYPE_ATTRIBUTES and isinstance(value, int) and not isinstance(default, int):
        return dtype_of(value, f"{where} attribute '{key}'") if value else default
    return value
