"""Ways to spoil a model: of its bytes, and of its fields while the encoding stays valid. All are decided by one
random generator.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import onnx
from onnx import TensorProto, defs

_LARGE = 256  # bytes of a weight from which on flips in it are of no interest
INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    7,
    8,
    16,
    64,
    255,
    256,
    1000,
    -2,
    -8,
    2**15,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32,
    2**40,
    2**62,
    2**63 - 1,
    -(2**63),
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "..",
    "constant",
    "linear",
    "SAME_LOWER",
    "VALID",
    "reflect",
    "a" * 300,
    "é\n",
    "ij,jk->ik",
    "../secret",
    "/etc/passwd",
)


def mutate(models: dict[str, bytes], rng: random.Random) -> tuple[str, str, bytes]:
    """The names of a model and of what was done to it, and the mutant."""
    # The small models say more a second than the large ones.
    names = list(models)
    name = rng.choice(names) if rng.random() < 0.5 else rng.choice(names[:7])
    kind = rng.choices(list(_KINDS), weights=[weight for _, weight in _KINDS.values()])[0]
    return name, kind, _KINDS[kind][0](models[name], models, rng)


# Bytes


def _flip(data: bytes, _: dict[str, bytes], rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        spoiled[_position(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _replace(data: bytes, _: dict[str, bytes], rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        spoiled[_position(data, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(spoiled)


def _truncate(data: bytes, _: dict[str, bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _splice(data: bytes, models: dict[str, bytes], rng: random.Random) -> bytes:
    other = rng.choice(list(models.values()))
    start, length = _position(other, rng), rng.choice((1, 8, 64, 512, 4096))
    at, dropped = _position(data, rng), rng.choice((0, 1, 8, 64, length))
    return data[:at] + other[start : start + length] + data[at + dropped :]


def _delete(data: bytes, _: dict[str, bytes], rng: random.Random) -> bytes:
    at = _position(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 16, 256)) :]


def _position(data: bytes, rng: random.Random) -> int:
    """A place in the bytes, mostly outside large weights."""
    if rng.random() < 0.1:
        return rng.randrange(len(data))
    spans = _structure(data)
    target = rng.randrange(sum(end - start for start, end in spans))
    for start, end in spans:
        if target < end - start:
            return start + target
        target -= end - start
    return len(data) - 1


@lru_cache(maxsize=64)
def _structure(data: bytes) -> tuple[tuple[int, int], ...]:
    """The spans of a model between its large weights."""
    spans, start = [], 0
    for tensor in onnx.ModelProto.FromString(data).graph.initializer:
        raw = tensor.raw_data
        at = data.find(raw, start) if len(raw) >= _LARGE else -1
        if at >= 0:
            spans.append((start, at))
            start = at + len(raw)
    return (*spans, (start, len(data)))


# Fields


def _integer(rng: random.Random) -> int:
    """Mostly a small number, which gets further than one at the edge of what a field holds."""
    return rng.randrange(-3, 10) if rng.random() < 0.6 else rng.choice(INTEGERS)


def _fields(data: bytes, models: dict[str, bytes], rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(data)
    donor = onnx.ModelProto.FromString(models[rng.choice(list(models)[:7])])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        rng.choice(_FIELD_CHANGES)(model, donor, rng)
    return bytes(model.SerializeToString())


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)


def _graph(model: Any, rng: random.Random) -> Any:
    return rng.choice(list(_graphs(model.graph)))


def _node(model: Any, rng: random.Random) -> Any | None:
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    return rng.choice(nodes) if nodes else None


def _tensors(model: Any) -> list[Any]:
    found = [tensor for graph in _graphs(model.graph) for tensor in graph.initializer]
    for graph in _graphs(model.graph):
        found += [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
        found += [
            attribute.sparse_tensor.indices
            for node in graph.node
            for attribute in node.attribute
            if attribute.HasField("sparse_tensor")
        ]
    return found


def _some_name(model: Any, rng: random.Random) -> str:
    graph = _graph(model, rng)
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    names += [output for node in graph.node for output in node.output]
    return str(rng.choice([*names, "", "nowhere"]))


def _change_dims(model: Any, _: Any, rng: random.Random) -> None:
    tensors = _tensors(model)
    if tensors:
        tensor = rng.choice(tensors)
        change = rng.randrange(4)
        if change == 0 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = _integer(rng)
        elif change == 1:
            tensor.dims.append(rng.choice((0, 1, 1, 2)))
        elif change == 2 and tensor.dims:
            tensor.dims.pop(rng.randrange(len(tensor.dims)))
        else:
            shuffled = list(tensor.dims)
            rng.shuffle(shuffled)
            tensor.dims[:] = shuffled


def _change_elements(model: Any, _: Any, rng: random.Random) -> None:
    """Other values in integer constants, which are shapes, axes, indices and pads."""
    tensors = [item for item in _tensors(model) if item.data_type == TensorProto.INT64 and item.raw_data]
    if tensors:
        tensor = rng.choice(tensors)
        raw = bytearray(tensor.raw_data)
        at = 8 * rng.randrange(max(len(raw) // 8, 1))
        raw[at : at + 8] = _integer(rng).to_bytes(8, "little", signed=True) if rng.random() < 0.9 else b""
        tensor.raw_data = bytes(raw)


def _change_type(model: Any, _: Any, rng: random.Random) -> None:
    tensors = _tensors(model)
    if tensors and rng.random() < 0.5:
        rng.choice(tensors).data_type = rng.randrange(30)
    elif model.graph.input:
        rng.choice(model.graph.input).type.tensor_type.elem_type = rng.randrange(30)


def _change_input_shape(model: Any, _: Any, rng: random.Random) -> None:
    values = [value for graph in _graphs(model.graph) for value in (*graph.input, *graph.output, *graph.value_info)]
    values = [value for value in values if value.type.tensor_type.shape.dim]
    if values:
        dims = rng.choice(values).type.tensor_type.shape.dim
        change = rng.randrange(4)
        if change == 0:
            rng.choice(dims).dim_value = _integer(rng)
        elif change == 1:
            rng.choice(dims).dim_param = rng.choice(("n", "m", ""))
        elif change == 2:
            dims.add(dim_value=rng.choice((0, 1, 2, 5)))
        else:
            dims.pop()


def _change_attribute(model: Any, _: Any, rng: random.Random) -> None:
    nodes = [node for graph in _graphs(model.graph) for node in graph.node if node.attribute]
    if not nodes:
        return
    node = rng.choice(nodes)
    attribute = rng.choice(node.attribute)
    change = rng.randrange(6)
    if change == 0:
        attribute.i, attribute.f, attribute.s = _integer(rng), rng.choice(FLOATS), rng.choice(TEXTS).encode()
    elif change == 1 and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = _integer(rng)
    elif change == 2 and attribute.ints:
        attribute.ints.pop() if rng.random() < 0.5 else attribute.ints.append(rng.choice((0, 1, 2)))
    elif change == 3:
        attribute.type = rng.randrange(15)
    elif change == 4:
        node.attribute.remove(attribute)
    else:
        attribute.name = rng.choice(("axis", "axes", "group", "pads", "to", "k", "body", attribute.name + "_"))


def _add_attribute(model: Any, _: Any, rng: random.Random) -> None:
    """An attribute that the operator knows and does not have yet."""
    node = _node(model, rng)
    if node is None or not defs.has(node.op_type, node.domain):
        return
    known = defs.get_schema(node.op_type, node.domain).attributes
    missing = sorted(set(known) - {attribute.name for attribute in node.attribute})
    if missing:
        name = rng.choice(missing)
        kind = known[name].type.name
        values: dict[str, Any] = {"INT": _integer(rng), "FLOAT": rng.choice(FLOATS), "STRING": rng.choice(TEXTS)}
        values["INTS"] = [_integer(rng) for _ in range(rng.randrange(1, 6))]
        if kind in values:
            node.attribute.append(onnx.helper.make_attribute(name, values[kind]))


def _change_inputs(model: Any, _: Any, rng: random.Random) -> None:
    node = _node(model, rng)
    if node is None:
        return
    change = rng.randrange(5)
    if change == 0 and node.input:
        node.input[rng.randrange(len(node.input))] = _some_name(model, rng)
    elif change == 1:
        node.input.append(_some_name(model, rng))
    elif change == 2 and node.input:
        node.input.pop(rng.randrange(len(node.input)))
    elif change == 3 and len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]
    elif node.output:
        node.output[rng.randrange(len(node.output))] = _some_name(model, rng)


@lru_cache(maxsize=1)
def _operators() -> list[str]:
    return sorted({schema.name for schema in defs.get_all_schemas()})


def _change_operator(model: Any, _: Any, rng: random.Random) -> None:
    node = _node(model, rng)
    if node is not None:
        node.op_type = rng.choice(_operators())
        if rng.random() < 0.5:
            del node.attribute[:]
        if rng.random() < 0.1:
            node.domain = rng.choice(("", "ai.onnx", "ai.onnx.ml", "own", "com.microsoft"))


def _move_nodes(model: Any, donor: Any, rng: random.Random) -> None:
    graph = _graph(model, rng)
    change = rng.randrange(5)
    if not graph.node or change == 0:
        graph.node.add().CopyFrom(rng.choice(donor.graph.node))
    elif change == 1:
        graph.node.pop(rng.randrange(len(graph.node)))
    elif change == 2:
        graph.node.add().CopyFrom(rng.choice(graph.node))
    elif change == 3:
        graph.input.pop() if graph.input and rng.random() < 0.5 else graph.output.add(name=_some_name(model, rng))
    elif graph.initializer:
        graph.initializer.pop(rng.randrange(len(graph.initializer)))


def _change_model(model: Any, donor: Any, rng: random.Random) -> None:
    change = rng.randrange(6)
    if change == 0 and model.opset_import:
        rng.choice(model.opset_import).version = rng.choice((*range(30), 2**31, -1))
    elif change == 1 and model.opset_import:
        rng.choice(model.opset_import).domain = rng.choice(("", "ai.onnx", "ai.onnx.ml", "own", "else"))
    elif change == 2:
        model.functions.extend(donor.functions)
    elif change == 3 and model.functions:
        function = rng.choice(model.functions)
        function.node.add(
            op_type=rng.choice(model.functions).name, domain="own", input=function.input, output=function.output
        )
    elif change == 4:
        model.ir_version = rng.choice((0, 1, 3, 4, 9, 10, 99))
    else:
        tensors = _tensors(model)
        if tensors:
            tensor = rng.choice(tensors)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", rng.choice(TEXTS)), ("offset", str(_integer(rng))), ("length", "8")):
                tensor.external_data.add(key=key, value=value)


def _change_data(model: Any, _: Any, rng: random.Random) -> None:
    tensors = _tensors(model)
    if tensors:
        tensor = rng.choice(tensors)
        change = rng.randrange(3)
        if change == 0:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
        elif change == 1:
            tensor.ClearField("raw_data")
        else:
            tensor.float_data.extend([1.0] * rng.randrange(9))


def _nest(model: Any, _: Any, rng: random.Random) -> None:
    """A subgraph in a subgraph in a subgraph."""
    graph = _graph(model, rng)
    for _ in range(rng.choice((1, 3, 30))):
        inner = onnx.GraphProto()
        inner.CopyFrom(graph)
        if inner.ByteSize() > 20_000 or not graph.output:
            return
        node = graph.node.add(op_type="If", output=[f"nested{rng.randrange(9)}"], input=[_some_name(model, rng)])
        for name in ("then_branch", "else_branch"):
            node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)


_FIELD_CHANGES: list[Callable[[Any, Any, random.Random], None]] = [
    _change_dims, _change_elements, _change_elements, _change_type, _change_input_shape, _change_attribute,
    _change_attribute, _add_attribute, _change_inputs, _change_operator, _move_nodes, _change_model, _change_data,
    _nest,
]  # fmt: skip
_KINDS: dict[str, tuple[Callable[[bytes, dict[str, bytes], random.Random], bytes], int]] = {
    "flip": (_flip, 2),
    "replace": (_replace, 1),
    "truncate": (_truncate, 1),
    "splice": (_splice, 1),
    "delete": (_delete, 1),
    "fields": (_fields, 16),
}
