"""No attribute, shape, dtype or value makes an op fail but by a typed error, or allocate what inference has not told.

A valid application is drawn, and then one thing in it is changed to what no exporter would write.
"""

from __future__ import annotations

import tracemalloc
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import Source
from training_cases import ALL as CASES

from thew import ops
from thew.dtypes import from_numpy, size_bytes, to_numpy
from thew.errors import Error
from thew.ir import Node, TensorType
from thew.ops import Call
from thew.ops.interpret import apply

NUMBERS = (0, -1, 3, 17, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
SMALL_BYTES = 1 << 16  # results up to this size are computed
SLACK_BYTES = 1 << 22  # what a reference may use beside: small tables, Python's own
DTYPES = ("fp32", "fp64", "bf16", "int64", "uint8", "bool", "int4", "fp8e4m3fn", "complex64", "string")


def changed_attribute(draw: Any, value: Any) -> Any:
    """Something like the attribute, or unlike it."""
    number = draw(st.sampled_from(NUMBERS))
    odd = draw(st.sampled_from([number, -0.5, float("nan"), "x", None, (), (number,), ("x",), (1.5, 2.5), object()]))
    if isinstance(value, tuple) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return (*value[:place], number, *value[place + 1 :])
    return number if isinstance(value, int) and draw(st.booleans()) else odd


def changed_input(draw: Any, array: Any) -> Any:
    """Another shape, another dtype, or one hostile element."""
    how = draw(st.sampled_from(["shape", "dtype", "element", "absent"]))
    if how == "absent":
        return None
    if how == "shape":
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=5)))
        return np.resize(array, shape) if array.size else np.zeros(shape, array.dtype)
    if how == "dtype":
        dtype = draw(st.sampled_from(DTYPES))
        return np.full(array.shape, "1", object) if dtype == "string" else np.ones(array.shape, to_numpy(dtype))
    other = array.copy()
    if other.size and other.dtype.kind in "iuf":
        place = draw(st.integers(0, other.size - 1))
        values = [
            n for n in NUMBERS if other.dtype.kind == "f" or np.iinfo(other.dtype).min <= n <= np.iinfo(other.dtype).max
        ]
        with np.errstate(all="ignore"):
            other.reshape(-1)[place] = draw(st.sampled_from(values))
    return other


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=40)
@given(data=st.data())
def test_hostile_nodes(name: str, data: st.DataObject) -> None:
    op = ops.get(name)
    attributes, inputs = CASES[name](Source(data.draw))
    place = data.draw(st.integers(0, len(op.attributes) + len(inputs) - 1))
    if place < len(op.attributes):
        key = sorted(op.attributes)[place]
        attributes = {**attributes, key: changed_attribute(data.draw, attributes.get(key, op.attributes[key]))}
    else:
        place -= len(op.attributes)
        if inputs[place] is not None:
            inputs[place] = changed_input(data.draw, inputs[place])
    names = tuple("" if value is None else f"input{i}" for i, value in enumerate(inputs))
    count = max(1, data.draw(st.sampled_from([op.outputs[0], op.outputs[0], op.outputs[1], 2])))
    node = Node(name, names, tuple(f"output{i}" for i in range(count)), attributes)
    types = tuple(None if value is None else TensorType(from_numpy(value.dtype), value.shape) for value in inputs)
    try:
        found = op.infer(Call(node, types, tuple(inputs)))
        op.flops(Call(node, types, tuple(inputs)))
    except Error as error:
        assert str(error).startswith(str(node))  # says where
        return
    assert all(known is not None for known in found)
    made = sum(prod(known.static_shape) * size_bytes(known.dtype) for known in found if known and known.is_static)
    if made <= SMALL_BYTES:
        run_within(op, node, inputs, found, made)


def run_within(op: ops.OpDef, node: Node, inputs: list[Any], found: Any, made: int) -> None:
    """Runs the reference: it gives what was inferred, and its memory is bounded by what goes in and out."""
    tracemalloc.start()
    try:
        results = op.reference(node.attributes, *inputs)
    except Error:
        return
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    given_bytes = sum(value.nbytes for value in inputs if value is not None)
    assert peak <= SLACK_BYTES + 64 * (made + given_bytes)
    for known, array in zip(found, results, strict=False):
        assert known.dtype == from_numpy(array.dtype)
        assert known.shape in (None, array.shape)


HUGE = 1 << 40
# Attributes and shapes that agree with each other, so that inference takes them; careless references would walk them.
ABSURD: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    (
        "max_pool",
        (np.ones((1, 1, 3), np.float32),),
        {"kernel_shape": (HUGE,), "pads": (HUGE, HUGE), "strides": (HUGE,)},
    ),
    (
        "average_pool",
        (np.ones((1, 1, 3), np.float32),),
        {"kernel_shape": (HUGE,), "pads": (HUGE, 0), "strides": (HUGE,)},
    ),
    ("lp_pool", (np.ones((1, 1, 3), np.float32),), {"kernel_shape": (3,), "pads": (HUGE, HUGE), "strides": (HUGE,)}),
    ("conv", (np.ones((1, 0, HUGE), np.float32), np.ones((1, 0, HUGE), np.float32)), {}),
    (
        "conv",
        (np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2), np.float32)),
        {"dilations": (HUGE,), "pads": (HUGE, 0)},
    ),
    ("col2_im", (np.ones((1, 0, 1), np.float32), np.array([HUGE]), np.array([HUGE])), {}),
    ("pad", (np.ones((0, HUGE), np.float32), np.array([0, 5, 0, 5])), {"mode": "edge"}),
    ("resize", (np.ones((0, HUGE), np.float32), None, None, np.array([0, HUGE])), {"mode": "linear"}),
    ("one_hot", (np.ones((0,), np.int64), np.array(HUGE - 1), np.ones(2, np.float32)), {}),
    ("trilu", (np.ones((0, 1 << 28, 1 << 28), np.float32),), {}),
    ("gather_elements", (np.ones((0, HUGE), np.float32), np.ones((0, HUGE), np.int64)), {}),
    ("top_k", (np.ones((0, HUGE), np.float32), np.array([HUGE])), {}),
    ("reverse_sequence", (np.ones((HUGE, 1, 0), np.float32), np.ones(1, np.int64)), {}),
    ("lrn", (np.ones((0, HUGE), np.float32),), {"size": HUGE}),
    ("softmax_cross_entropy_loss", (np.ones((0, 5, HUGE), np.float32), np.ones((0, HUGE), np.int64)), {}),
    ("unique", (np.ones((0, HUGE), np.float32),), {"axis": 1}),
    ("tile", (np.ones((1,), np.float32), np.array([HUGE])), {}),
    ("range", (np.array(0), np.array(HUGE), np.array(1)), {}),
    ("quantize_linear", (np.ones((HUGE, 0), np.float32), np.ones((1, 0), np.float32)), {"axis": 0, "block_size": HUGE}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), ABSURD, ids=[case[0] for case in ABSURD])
def test_absurd_sizes_cost_nothing(name: str, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    names = tuple("" if value is None else f"input{i}" for i, value in enumerate(inputs))
    node = Node(name, names, ("output",), attributes, "absurd")
    tracemalloc.start()
    try:
        apply(node, inputs, limit_bytes=SMALL_BYTES)
    except Error as error:
        assert str(error).startswith(str(node))
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= SLACK_BYTES
