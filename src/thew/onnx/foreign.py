"""Foreign ops: ONNX operators that Thew has no op for, run by the reference implementation in the `onnx` package.

A foreign op is named after its operator ("onnx.NonMaxSuppression"; "onnx_random.…" where results differ from run to
run). Its one attribute, `model`, is a whole ONNX model of one node, serialised, as a uint8 array: its graph inputs are
the node's inputs, the outer values that subgraphs capture among them. So a foreign op stands alone, prints, and parses
back. Nothing else is needed to run it.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from thew.errors import Error, MemoryLimitError, ModelError
from thew.ir.graph import Array, Node, TensorType
from thew.onnx.element_types import NAMES, number_of
from thew.onnx.limits import Budget, check_depth
from thew.onnx.nodes import OnnxNode, subgraphs
from thew.onnx.schemas import RANDOM
from thew.onnx.tensors import EXTERNAL, TensorReader, to_tensor
from thew.ops.opdef import Call, OpDef, resolvers

PURE, IMPURE = "onnx.", "onnx_random."
_MAX_KNOWN_ELEMENTS = 65_536  # larger constants do not decide shapes
_KEPT_EVALUATORS = 256


def make_node(
    node: OnnxNode, proto: Any, names: list[str], inputs: tuple[str, ...], opsets: Mapping[str, int], model: Any
) -> Node:
    """The IR node of a foreign op; `names` are the inputs as the proto names them, `inputs` as the graph does."""
    import onnx

    single = onnx.ModelProto(ir_version=model.ir_version)
    single.opset_import.extend(
        onnx.OperatorSetIdProto(domain=domain, version=version) for domain, version in opsets.items()
    )
    if subgraphs(proto):
        single.functions.extend(model.functions)
        known = {item.domain for item in single.opset_import}
        single.opset_import.extend(item for item in model.opset_import if item.domain not in known | {"ai.onnx"})
    single.graph.name = node.op_type
    single.graph.node.append(proto)
    single.graph.input.extend(onnx.ValueInfoProto(name=name) for name in names)
    single.graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output if name)
    domain = f"{node.domain}." if node.domain else ""
    name = f"{IMPURE if _is_random(proto) else PURE}{domain}{node.op_type}"
    data = np.frombuffer(single.SerializeToString(), np.uint8)
    return Node(name, inputs, tuple(filter(None, node.outputs)), {"model": data}, node.name)


def _is_random(proto: Any) -> bool:
    return proto.op_type in RANDOM or any(_is_random(node) for graph in subgraphs(proto) for node in graph.node)


def captured_names(proto: Any) -> list[str]:
    """The outer values that a node's subgraphs use, in order of first use."""
    found: dict[str, None] = {}
    for graph in subgraphs(proto):
        found.update(dict.fromkeys(_free_names(graph)))
    return list(found)


def _free_names(graph: Any) -> list[str]:
    defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    defined |= {sparse.values.name for sparse in graph.sparse_initializer}
    free: dict[str, None] = {}
    for node in graph.node:
        used = [name for name in node.input if name] + captured_names(node)
        free.update((name, None) for name in used if name not in defined)
        defined.update(node.output)
    free.update((value.name, None) for value in graph.output if value.name and value.name not in defined)
    return list(free)


def check_node_data(proto: Any, depth: int, budget: Budget, tensors: TensorReader) -> None:
    """Raises ModelError where the data in a node or its subgraphs break a rule, or nest too deep."""
    check_depth(depth, proto.op_type)
    for attribute in proto.attribute:
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            _check_tensor(tensor, f"{proto.op_type} attribute '{attribute.name}'", tensors)
    for graph in subgraphs(proto):
        for tensor in graph.initializer:
            _check_tensor(tensor, f"{proto.op_type} initializer '{tensor.name}'", tensors)
        for node in graph.node:
            budget.take_node(node.op_type)
            check_node_data(node, depth + 1, budget, tensors)


def _check_tensor(tensor: Any, where: str, tensors: TensorReader) -> None:
    if tensor.data_location == EXTERNAL:
        raise ModelError(
            f"{where}: external data must not be used inside an operator that Thew has no op for; store it in the model"
        )
    tensors.tensor(tensor, where)


class InferredTypes:
    """What ONNX's shape inference says of a model's values; run only for models that hold more than tensors of
    numbers.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._protos: dict[str, Any] | None = None
        self._is_plain = not _holds_objects(model)

    def dtype(self, name: str) -> str | None:
        """The dtype of a value where known; "opaque" for a sequence, an optional or a map."""
        if self._is_plain:
            return None
        found: Any = self._known().get(name)
        kind = found.WhichOneof("value") if found is not None else None
        if kind is None:
            return None
        return NAMES.get(found.tensor_type.elem_type) if kind == "tensor_type" else "opaque"

    def proto(self, name: str, constant: Array | None) -> Any:
        """The TypeProto of a value; empty where it is not known."""
        import onnx

        if constant is not None:
            tensor = TensorType(_dtype_name(constant), constant.shape)
            return type_proto(tensor)
        return self._known().get(name) or onnx.TypeProto()

    def _known(self) -> dict[str, Any]:
        if self._protos is None:
            self._protos = _infer_types(self._model)
        return self._protos


def _dtype_name(array: Array) -> str:
    from thew.dtypes import from_numpy

    return from_numpy(array.dtype)


def _infer_types(model: Any) -> dict[str, Any]:
    from onnx import shape_inference

    graph = model.graph
    # Inference is a convenience: what it cannot do leaves types open, and nodes foreign.
    with contextlib.suppress(Exception):
        graph = shape_inference.infer_shapes(model).graph
    return _declared_types(graph, 0)


def _declared_types(graph: Any, depth: int) -> dict[str, Any]:
    """The types that a graph and its subgraphs write down; names of inner values do not shadow outer ones in ONNX."""
    check_depth(depth, "graph")
    types: dict[str, Any] = {}
    for node in graph.node:
        for inner in subgraphs(node):
            types.update(_declared_types(inner, depth + 1))
    types.update((value.name, value.type) for value in (*graph.value_info, *graph.input, *graph.output))
    return types


_OBJECT_OPS = ("Sequence", "Optional", "String", "If", "Loop", "Scan", "Regex")
_STRING = 8


def _holds_objects(model: Any) -> bool:
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if value.type.WhichOneof("value") != "tensor_type" or value.type.tensor_type.elem_type == _STRING:
            return True
    if any(tensor.data_type == _STRING for tensor in graph.initializer):
        return True
    for node in graph.node:
        if any(word in node.op_type for word in _OBJECT_OPS):
            return True
        if any(
            item.s or item.strings or item.i == _STRING
            for item in node.attribute
            if item.name in ("value_string", "value_strings", "to")
        ):
            return True
    return False


def type_proto(tensor: TensorType) -> Any:
    """The TypeProto of a tensor type."""
    from onnx import helper

    shape = None if tensor.shape is None else list(tensor.shape)
    return helper.make_tensor_type_proto(number_of(tensor.dtype), shape)


# The op


class _Evaluators:
    """The evaluators of the models last used, by the identity of their bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Array, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, data: Array) -> Any:
        """The evaluator of a serialised model."""
        with self._lock:
            found = self._kept.get(id(data))
            if found is not None and found[0] is data:
                self._kept.move_to_end(id(data))
                return found[1]
        evaluator = _make_evaluator(data)
        with self._lock:
            self._kept[id(data)] = (data, evaluator)
            while len(self._kept) > _KEPT_EVALUATORS:
                self._kept.popitem(last=False)
        return evaluator


_EVALUATORS = _Evaluators()


def parse_model(data: Any) -> Any:
    """The model that a foreign op holds."""
    import onnx

    return onnx.ModelProto.FromString(np.ascontiguousarray(data, np.uint8).tobytes())


def _make_evaluator(data: Array) -> Any:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(parse_model(data))


def _reference(attributes: Mapping[str, Any], *inputs: Any) -> Sequence[Any]:
    where = "foreign op"
    try:
        evaluator = _EVALUATORS.get(attributes["model"])
        where = f"onnx.{evaluator.proto_.graph.node[0].op_type} '{evaluator.proto_.graph.node[0].name}'"
        with np.errstate(all="ignore"):
            results = evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=True)))
    except Error:
        raise
    except MemoryError as error:
        raise MemoryLimitError(f"{where}: must fit the memory there is, got {error}") from error
    except Exception as error:
        raise ModelError(
            f"{where}: ONNX's reference cannot run it: {type(error).__name__}: {str(error)[:500]}"
        ) from error
    return [np.asarray(item) if isinstance(item, np.generic) else item for item in results]


def _infer(call: Call) -> Sequence[TensorType | None]:
    unknown: list[TensorType | None] = [None] * len(call.node.outputs)
    if any(known is None or not known.is_static for known in call.types):
        return unknown
    from onnx import shape_inference

    model = parse_model(call.node.attributes["model"])
    for value, known, constant in zip(model.graph.input, call.types, call.values, strict=True):
        assert known is not None
        value.type.CopyFrom(type_proto(known))
        if constant is not None and constant.size <= _MAX_KNOWN_ELEMENTS:
            model.graph.initializer.append(to_tensor(constant, value.name))
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise call.refuse(f"ONNX's shape inference refuses it: {str(error)[:500]}") from error
    return [_tensor_type(value.type) for value in inferred.graph.output]


def _tensor_type(proto: Any) -> TensorType | None:
    if proto.WhichOneof("value") != "tensor_type" or proto.tensor_type.elem_type not in NAMES:
        return None
    dims = proto.tensor_type.shape.dim
    is_known = proto.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
    return TensorType(NAMES[proto.tensor_type.elem_type], tuple(dim.dim_value for dim in dims) if is_known else None)


def _resolve(name: str) -> OpDef | None:
    if not name.startswith((PURE, IMPURE)):
        return None
    return OpDef(
        name,
        _infer,
        _reference,
        attributes={"model": None},
        inputs=(0, -1),
        outputs=(1, -1),
        flops=lambda call: 0,
        is_pure=name.startswith(PURE),
    )


resolvers.append(_resolve)
