"""if, loop and scan: ops whose bodies are graphs, run as Python steps.

A body is a graph attribute that stands alone: values of the outer graph that it uses are the node's last `captured`
inputs, and the last inputs of the body. Types of outputs are known only when they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.errors import ModelError, UnsupportedError
from thew.ir.graph import Array, Graph, TensorType
from thew.ops.opdef import Call, OpDef, define

MAX_ITERATIONS = 100_000  # a model that is not trusted may ask for more than anyone waits for; one takes about 0.1 ms


def _run(body: Graph, values: Sequence[Any]) -> list[Any]:
    """The body's outputs from all its inputs, in order."""
    from thew.ops.interpret import evaluate

    if len(values) != len(body.inputs):
        raise ModelError(f"graph '{body.name}': takes {len(body.inputs)} inputs, got {len(values)}")
    results = evaluate(body, {declared.name: value for declared, value in zip(body.inputs, values, strict=True)})
    return [results[name] for name in body.outputs]


def _scalar(value: Any, what: str) -> Any:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biu":
        raise ModelError(f"{what}: must be one number or truth value, got {array.dtype} of shape {array.shape}")
    return array.reshape(-1)[0].item()


def _unknown(call: Call) -> list[TensorType | None]:
    return [None] * len(call.node.outputs)


def _if(attributes: Mapping[str, Any], condition: Array, *captured: Any) -> list[Any]:
    branch = attributes["then_branch"] if _scalar(condition, "if condition") else attributes["else_branch"]
    return _run(branch, captured)


def _loop(attributes: Mapping[str, Any], count: Array | None, condition: Array | None, *rest: Any) -> list[Any]:
    body: Graph = attributes["body"]
    carried, captured = _parted(rest, attributes["captured"])
    limit = None if count is None else int(_scalar(count, "loop count"))
    proceed = condition is None or bool(_scalar(condition, "loop condition"))
    scanned: list[list[Any]] = [[] for _ in body.outputs[1 + len(carried) :]]
    iteration = 0
    while proceed and (limit is None or iteration < limit):
        if iteration == MAX_ITERATIONS:
            raise UnsupportedError(f"loop '{body.name}': must end within {MAX_ITERATIONS} iterations")
        results = _run(body, [np.array(iteration, np.int64), np.array(proceed), *carried, *captured])
        proceed, carried = bool(_scalar(results[0], "loop condition")), results[1 : 1 + len(carried)]
        for collected, value in zip(scanned, results[1 + len(carried) :], strict=True):
            collected.append(value)
        iteration += 1
    names = body.outputs[1 + len(carried) :]
    return [*carried, *(_stacked(values, body, name, 0) for values, name in zip(scanned, names, strict=True))]


def _parted(values: Sequence[Any], captured: int) -> tuple[list[Any], list[Any]]:
    split = len(values) - captured
    return list(values[:split]), list(values[split:])


def _stacked(values: list[Any], body: Graph, name: str, axis: int) -> Array:
    if values:
        return np.stack(values, axis)
    known = body.type_of(name)
    extents = [dim if isinstance(dim, int) else 0 for dim in (known.shape if known and known.shape else ())]
    extents.insert(axis % (len(extents) + 1), 0)
    return np.zeros(extents, to_numpy(known.dtype) if known and known.dtype != "opaque" else np.float32)


def _scan(attributes: Mapping[str, Any], *inputs: Any) -> list[Any]:
    values, captured = _parted(inputs, attributes["captured"])
    if not attributes["batched"]:
        return _scan_one(attributes, values, captured)
    batches = {len(value) for value in values}
    if len(batches) != 1:
        raise ModelError(f"scan '{attributes['body'].name}': inputs must have one batch extent, got {sorted(batches)}")
    each = [_scan_one(attributes, [value[index] for value in values], captured) for index in range(batches.pop())]
    return [np.stack(parts) for parts in zip(*each, strict=True)]


def _axes(attributes: Mapping[str, Any], name: str, count: int) -> list[int]:
    given = attributes[name] or (0,) * count
    if len(given) != count:
        raise ModelError(f"scan '{attributes['body'].name}': {name} must have {count} entries, got {len(given)}")
    return list(given)


def _scan_one(attributes: Mapping[str, Any], values: list[Any], captured: list[Any]) -> list[Any]:
    body: Graph = attributes["body"]
    scans = attributes["num_scan_inputs"]
    states, scanned = _parted(values, scans)
    outputs = len(body.outputs) - len(states)
    axes, directions = _axes(attributes, "scan_input_axes", scans), _axes(attributes, "scan_input_directions", scans)
    for value, axis in zip(scanned, axes, strict=True):
        if not -value.ndim <= axis < value.ndim:
            raise ModelError(f"scan '{body.name}': axis must lie in the rank of its input {value.shape}, got {axis}")
    scanned = [np.moveaxis(value, axis, 0) for value, axis in zip(scanned, axes, strict=True)]
    lengths = {len(value) for value in scanned}
    if len(lengths) != 1:
        raise ModelError(f"scan '{body.name}': scanned inputs must have one length, got {sorted(lengths)}")
    scanned = [value[::-1] if backwards else value for value, backwards in zip(scanned, directions, strict=True)]
    collected: list[list[Any]] = [[] for _ in range(outputs)]
    for index in range(lengths.pop()):
        results = _run(body, [*states, *(np.asarray(value[index]) for value in scanned), *captured])
        states = results[: len(states)]
        for column, value in zip(collected, results[len(states) :], strict=True):
            column.append(value)
    directions, axes = (
        _axes(attributes, "scan_output_directions", outputs),
        _axes(attributes, "scan_output_axes", outputs),
    )
    names = body.outputs[len(states) :]
    ordered = (column[::-1] if backwards else column for column, backwards in zip(collected, directions, strict=True))
    return [
        *states,
        *(_stacked(column, body, name, axis) for column, name, axis in zip(ordered, names, axes, strict=True)),
    ]


def _define(name: str, reference: Any, attributes: Mapping[str, Any], least: int) -> None:
    define(OpDef(name, _unknown, reference, {"captured": 0, **attributes}, (least, -1), (1, -1), flops=lambda call: 0))


_define("if", _if, {"then_branch": None, "else_branch": None}, 1)
_define("loop", _loop, {"body": None}, 0)
_define(
    "scan",
    _scan,
    {
        "body": None,
        "num_scan_inputs": 1,
        "scan_input_axes": (),
        "scan_input_directions": (),
        "scan_output_axes": (),
        "scan_output_directions": (),
        "batched": 0,
    },
    1,
)
