"""What holds for every op: its inference agrees with its reference, and the reference with ONNX's own test data.

The data are the node cases of the onnx package, read by our importer and run node by node.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import Source
from training_cases import ALL as CASES

from thew import ops
from thew.dtypes import from_numpy
from thew.errors import Error
from thew.ir import Graph, Node, TensorType
from thew.onnx.foreign import IMPURE, PURE
from thew.onnx.reader import read
from thew.ops import Call, OpDef

CONTROL = {"if", "loop", "scan"}  # their bodies are graphs; tests of their own
OPS = sorted(set(ops.names()) - CONTROL)

# ONNX's reference rounds to fp16 within each of ten nodes, ours once at the end of each, so that its tolerance of 1e-3,
# one step of fp16, does not hold along such a chain.
HALF_CHAINS = {"test_attention_4d_causal_fp16", "test_attention_4d_causal_fp16_expanded"}


def call_of(node: Node, values: list[Any], constant: bool = True) -> Call:
    types = tuple(None if value is None else TensorType(from_numpy(value.dtype), value.shape) for value in values)
    return Call(node, types, tuple(values) if constant else (None,) * len(values))


def run_checked(op: OpDef, node: Node, values: list[Any]) -> list[Any]:
    """The outputs of a node; inference must tell their types: with values known, unknown, and without any shape."""
    known = op.infer(call_of(node, values))
    results = list(op.reference(node.attributes, *values))
    partly = op.infer(call_of(node, values, constant=False))
    shapeless = call_of(node, values, constant=False)
    shapeless = Call(
        node, tuple(found and TensorType(found.dtype, None) for found in shapeless.types), shapeless.values
    )
    blind = op.infer(shapeless)
    assert len(known) == len(partly) == len(blind) == len(node.outputs) <= len(results)
    for type_, less, least, array in zip(known, partly, blind, results, strict=False):
        assert type_ is not None and less is not None and least is not None
        assert isinstance(array, np.ndarray)
        assert type_.dtype == less.dtype == least.dtype == from_numpy(array.dtype)
        assert type_.shape in (None, array.shape)
        assert less.shape in (None, array.shape)
        assert least.shape is None
    return results


# ONNX's node cases


@cache
def node_cases() -> dict[str, list[tuple[Any, Graph]]]:
    """The cases whose graphs are made of ops of ours only, under each of those ops."""
    from onnx.backend.test.loader import load_model_tests

    found = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the data divides by zero
        cases = load_model_tests(kind="node")
    for case in cases:
        try:
            graph = read(case.model)
        except Error:
            continue
        used = {node.op for node in graph.nodes}
        if not used & CONTROL and not any(name.startswith((PURE, IMPURE)) for name in used):
            for name in used:
                found[name].append((case, graph))
    return dict(found)


def _array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _run_case(case: Any, graph: Graph) -> None:
    from onnx.backend.test.runner import Runner

    inputs, expected = ([_array(value) for value in part] for part in case.data_sets[0])
    values = {
        **graph.constants,
        **{declared.name: value for declared, value in zip(graph.inputs, inputs, strict=False)},
    }
    for node in graph.nodes:
        results = run_checked(ops.get(node.op), node, [values[name] if name else None for name in node.inputs])
        values.update(zip(node.outputs, results, strict=False))
    for name, wanted in zip(graph.outputs, expected, strict=True):
        assert from_numpy(values[name].dtype) == from_numpy(wanted.dtype)
        Runner.assert_similar_outputs([wanted], [values[name]], case.rtol, case.atol)


@pytest.mark.parametrize("name", OPS)
def test_onnx_node_cases(name: str) -> None:
    cases = [(case, graph) for case, graph in node_cases().get(name, ()) if case.name not in HALF_CHAINS]
    if not cases:
        pytest.skip(f"ONNX has no node case for {name}")
    for case, graph in cases:
        try:
            _run_case(case, graph)
        except Exception as error:
            error.add_note(f"in ONNX's node case {case.name}")
            raise


def test_onnx_node_cases_are_many() -> None:
    """Guards the guard: were the importer to make foreign ops of everything, the test above would skip."""
    cases = {case.name for found in node_cases().values() for case, _ in found}
    assert len(cases) >= 1600
    assert len(set(OPS) & set(node_cases())) >= 140


# Drawn cases


def test_every_op_has_drawn_cases() -> None:
    assert set(CASES) == set(OPS)


@pytest.mark.parametrize("name", OPS)
@settings(max_examples=30)
@given(data=st.data())
def test_infer_agrees_with_reference(name: str, data: st.DataObject) -> None:
    attributes, inputs = CASES[name](Source(data.draw))
    while inputs and inputs[-1] is None:
        inputs.pop()
    op = ops.get(name)
    count = max(op.outputs[1], op.outputs[0])
    if name == "split":
        count = attributes.get("num_outputs") or len(inputs[1])
    if name == "batch_normalization":
        count = 3 if attributes["training_mode"] else 1
    names = tuple("" if value is None else f"input{i}" for i, value in enumerate(inputs))
    node = Node(name, names, tuple(f"output{i}" for i in range(count)), attributes)
    kept = [None if value is None else value.copy() for value in inputs]
    results = run_checked(op, node, inputs)
    for before, after in zip(kept, inputs, strict=True):
        assert before is after is None or before.tobytes() == after.tobytes()  # a reference leaves its inputs alone
    call = call_of(node, inputs)
    assert op.flops(call) >= 0
    for candidate in op.candidates:
        assert candidate.when(call) in (True, False)
    assert len(results) >= count
