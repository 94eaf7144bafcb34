"""The models that mutants are made of: small ones made here, each for a part of the format, and real ones where
there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], opset: int = 17, **options: Any) -> bytes:
    functions = options.pop("functions", [])
    imports = [helper.make_opsetid("", opset), *options.pop("imports", [])]
    graph = helper.make_graph(nodes, "mutant", inputs, outputs, **options)
    model = helper.make_model(graph, opset_imports=imports, functions=functions)
    model.ir_version = 8
    return bytes(model.SerializeToString())


def _tensor(name: str, *shape: int, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(sum(map(ord, name)))
    return numpy_helper.from_array(rng.standard_normal(shape).astype(dtype), name)


def _ints(name: str, *values: int) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def _value(name: str, *shape: int | str, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def conv_net() -> bytes:
    """Convolution, batch norm, pooling, a residual, a depthwise layer, a classifier."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c0", "s", "t", "m", "v"], ["n0"], epsilon=1e-3),
        helper.make_node("Relu", ["n0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c1", "lo", "hi"], ["k1"]),
        helper.make_node("Conv", ["k1", "w2"], ["c2"]),
        helper.make_node("Add", ["c2", "r0"], ["a2"]),
        helper.make_node("MaxPool", ["a2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("AveragePool", ["p2"], ["p3"], kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("GlobalAveragePool", ["p3"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["l"], transB=1, alpha=0.5),
        helper.make_node("Softmax", ["l"], ["y"], axis=-1),
    ]
    bounds = [numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in (("lo", 0), ("hi", 6))]
    positive = numpy_helper.from_array(np.ones(8, np.float32), "v")
    weights = [_tensor("w0", 8, 3, 3, 3), _tensor("b0", 8), _tensor("w1", 8, 1, 3, 3), _tensor("w2", 8, 8, 1, 1)]
    weights += [_tensor(name, 8) for name in "stm"] + [positive, _tensor("w3", 5, 8), _tensor("b3", 5), *bounds]
    return _model(nodes, [_value("x", "n", 3, 12, 12)], [_value("y", "n", 5)], initializer=weights)


def shape_chain() -> bytes:
    """Shapes computed from shapes, slices, gathers, pads, splits, concatenations."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["r"]),
        helper.make_node("Slice", ["r", "starts", "ends", "axes", "steps"], ["q"]),
        helper.make_node("Pad", ["q", "pads"], ["p"], mode="reflect"),
        helper.make_node("Split", ["p", "sizes"], ["p0", "p1"], axis=1),
        helper.make_node("Transpose", ["p0"], ["u0"], perm=[1, 0]),
        helper.make_node("Tile", ["u0", "repeats"], ["u1"]),
        helper.make_node("Unsqueeze", ["p1", "zero"], ["e"]),
        helper.make_node("Expand", ["e", "three"], ["ex"]),
        helper.make_node("ReduceMean", ["ex"], ["mean"], axes=[0], keepdims=0),
        helper.make_node("TopK", ["mean", "zero1"], ["top", "where"], axis=-1),
    ]
    constants = [_ints("zero", 0), _ints("rest", -1), _ints("starts", 0, -1), _ints("ends", 2, -9), _ints("axes", 0, 1)]
    constants += [_ints("steps", 1, -2), _ints("pads", 0, 1, 0, 2), _ints("sizes", 3, 4), _ints("repeats", 2, 1)]
    constants += [_ints("three", 3, 1, 1), _ints("zero1", 2)]
    outputs = [_value("u1", "a", "b"), _value("top", "c", "d"), _value("where", "c", "d", dtype=INT64)]
    return _model(nodes, [_value("x", 2, 8)], outputs, initializer=constants)


def quantised() -> bytes:
    """QDQ around a convolution, per channel, with zero points, and an integer product."""
    weight = numpy_helper.from_array(np.arange(-36, 36).astype(np.int8).reshape(4, 2, 3, 3), "w")
    scale = numpy_helper.from_array(np.array(0.05, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(7, np.uint8), "zero")
    scales = numpy_helper.from_array(np.full(4, 0.02, np.float32), "scales")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "scales"], ["dw"], axis=0),
        helper.make_node("Conv", ["d", "dw"], ["c"], dilations=[2, 2], pads=[2, 2, 2, 2]),
        helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["y"]),
        helper.make_node("Cast", ["y"], ["z"], to=TensorProto.INT32),
    ]
    outputs = [_value("z", 1, 4, 6, 6, dtype=TensorProto.INT32)]
    return _model(nodes, [_value("x", 1, 2, 6, 6)], outputs, initializer=[weight, scale, zero, scales])


def control_flow() -> bytes:
    """If in a Loop, with captured values and scan outputs, and a sequence."""
    then_branch = helper.make_graph([helper.make_node("Add", ["v", "x"], ["then"])], "then", [], [_value("then", 4)])
    else_branch = helper.make_graph([helper.make_node("Mul", ["v", "x"], ["else"])], "else", [], [_value("else", 4)])
    body_nodes = [
        helper.make_node("ReduceSum", ["v"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "limit"], ["is_big"]),
        helper.make_node("If", ["is_big"], ["v_out"], then_branch=then_branch, else_branch=else_branch),
        helper.make_node("Identity", ["go"], ["go_out"]),
        helper.make_node("Identity", ["v_out"], ["trace"]),
    ]
    inputs = [_value("i", dtype=INT64), _value("go", dtype=BOOL), _value("v", 4)]
    outputs = [_value("go_out", dtype=BOOL), _value("v_out", 4), _value("trace", 4)]
    body = helper.make_graph(body_nodes, "body", inputs, outputs)
    nodes = [
        helper.make_node("Loop", ["count", "", "x"], ["last", "all"], body=body),
        helper.make_node("SequenceConstruct", ["last", "x"], ["both"]),
        helper.make_node("ConcatFromSequence", ["both"], ["y"], axis=0),
    ]
    constants = [numpy_helper.from_array(np.array(3, np.int64), "count")]
    constants.append(numpy_helper.from_array(np.array(1, np.float32), "limit"))
    return _model(nodes, [_value("x", 4)], [_value("y", 8), _value("all", 3, 4)], initializer=constants)


def functions() -> bytes:
    """A function of the model that calls another, with attributes, and operators that ONNX defines by functions."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    scaled = helper.make_node("LeakyRelu", ["a"], ["b"])
    reference = scaled.attribute.add(name="alpha", type=1)
    reference.ref_attr_name = "slope"
    inner = helper.make_function("own", "leak", ["a"], ["b"], [scaled], imports, attributes=["slope"])
    call = helper.make_node("leak", ["p"], ["q"], domain="own", slope=0.25)
    outer = helper.make_function(
        "own", "twice", ["p"], ["r"], [call, helper.make_node("Add", ["q", "p"], ["r"])], imports
    )
    nodes = [
        helper.make_node("twice", ["x"], ["t"], domain="own"),
        helper.make_node("Mish", ["t"], ["m"]),
        helper.make_node("CenterCropPad", ["m", "size"], ["y"], axes=[0]),
    ]
    size = _ints("size", 5)
    own = [helper.make_opsetid("own", 1)]
    return _model(
        nodes, [_value("x", 7)], [_value("y", 5)], 18, initializer=[size], functions=[inner, outer], imports=own
    )


def tensor_forms() -> bytes:
    """Constants in every form: typed fields, raw, sparse, half, packed, text, by attribute."""
    sparse = helper.make_sparse_tensor(
        _tensor("sparse", 3), numpy_helper.from_array(np.array([1, 4, 7], np.int64), "at"), [3, 4]
    )
    nodes = [
        helper.make_node("Constant", [], ["k"], sparse_value=sparse),
        helper.make_node("Constant", [], ["f"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        helper.make_node("Cast", ["half"], ["h"], to=FLOAT),
        helper.make_node("Cast", ["nibbles"], ["n"], to=FLOAT),
        helper.make_node("Sum", ["x", "k", "f", "h", "n", "typed"], ["y"]),
        helper.make_node("StringConcat", ["words", "words"], ["z"]),
        helper.make_node("NonZero", ["x"], ["w"]),
        helper.make_node("Einsum", ["x", "x"], ["v"], equation="ij,kj->ik"),
        helper.make_node("LSTM", ["seq", "lw", "lr"], ["", "u"], hidden_size=2),
    ]
    constants = [
        helper.make_tensor("half", TensorProto.FLOAT16, [4], [1, 2, 3, 4]),
        helper.make_tensor("nibbles", TensorProto.INT4, [4], [1, -2, 3, -4]),
        helper.make_tensor("typed", FLOAT, [1, 4], [1, 2, 3, 4]),
        helper.make_tensor("words", TensorProto.STRING, [2], ["ab", "c"]),
        _tensor("seq", 3, 1, 2), _tensor("lw", 1, 8, 2), _tensor("lr", 1, 8, 2),
    ]  # fmt: skip
    outputs = [
        _value("y", 3, 4),
        _value("z", 2, dtype=TensorProto.STRING),
        _value("w", 2, "k", dtype=INT64),
        _value("v", 3, 3),
    ]
    return _model(nodes, [_value("x", 3, 4)], [*outputs, _value("u", 1, 1, 2)], 23, initializer=constants)


def older() -> bytes:
    """Forms of operator set 8: bounds, axes and sizes as attributes, constants listed as inputs."""
    nodes = [
        helper.make_node("Clip", ["x"], ["c"], min=-1.0, max=1.0),
        helper.make_node("Pad", ["c"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.5),
        helper.make_node("Slice", ["p"], ["s"], axes=[2, 3], starts=[1, 1], ends=[5, 5]),
        helper.make_node("Upsample", ["s"], ["u"], scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"),
        helper.make_node("ReduceSum", ["u"], ["r"], axes=[2], keepdims=0),
        helper.make_node("Softmax", ["r"], ["m"], axis=1),
        helper.make_node("Mul", ["m", "w"], ["y"]),
    ]
    inputs = [_value("x", 1, 2, 4, 4), _value("w", 8)]
    return _model(nodes, inputs, [_value("y", 1, 2, 8)], 8, initializer=[_tensor("w", 8)])


SMALL: dict[str, Callable[[], bytes]] = {
    maker.__name__: maker for maker in (conv_net, shape_chain, quantised, control_flow, functions, tensor_forms, older)
}


def load(folder: Path | None) -> dict[str, bytes]:
    """All models by name: the small ones, then the real ones of a folder."""
    models = {name: make() for name, make in SMALL.items()}
    if folder is not None:
        models.update((path.name, path.read_bytes()) for path in sorted(folder.glob("*.onnx")))
    return models
