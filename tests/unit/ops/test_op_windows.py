"""Convolutions and pools against loops over every window, their definition; transposed convolution as an adjoint."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thew import ops
from thew.errors import ShapeError
from thew.ir import Node, TensorType
from thew.ops import Call
from thew.ops.conv import is_depthwise, is_pointwise
from thew.ops.conv import resolved_pads as conv_pads
from thew.ops.pool import resolved_pads as pool_pads


def call(op: str, shapes: list[tuple[int, ...] | None], **attributes: Any) -> Call:
    types = tuple(None if shape is None else TensorType("fp64", shape) for shape in shapes)
    names = tuple("" if shape is None else f"x{i}" for i, shape in enumerate(shapes))
    return Call(Node(op, names, ("y",), attributes, "n"), types, (None,) * len(shapes))


def windows(extents: Any, kernel: Any, strides: Any, dilations: Any, pads: Any, output: Any) -> Any:
    """(output place, [(kernel place, input place)] of what lies inside) for every window, by plain counting."""
    for out in product(*map(range, output)):
        inside = []
        for k in product(*map(range, kernel)):
            place = tuple(o * s - p + t * d for o, s, p, t, d in zip(out, strides, pads, k, dilations, strict=False))
            if all(0 <= at < extent for at, extent in zip(place, extents, strict=True)):
                inside.append((k, place))
        yield out, inside


@st.composite
def geometry(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 2))

    def several(low: int, high: int, count: int = rank) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(count))

    return {
        "extents": several(4, 6),
        "kernel": several(1, 2),
        "strides": several(1, 3),
        "dilations": several(1, 2),
        "pads": several(0, 2, 2 * rank),
        "seed": draw(st.integers(0, 999)),
    }


@given(geometry(), st.integers(1, 2), st.booleans())
def test_conv_is_its_definition(found: dict[str, Any], group: int, residual: bool) -> None:
    random = np.random.default_rng(found["seed"])
    n, c, oc = 2, 2 * group, 3 * group
    x = random.normal(size=(n, c, *found["extents"]))
    w = random.normal(size=(oc, c // group, *found["kernel"]))
    bias = random.normal(size=oc)
    names = ("strides", "dilations", "pads")
    attributes = {"group": group, "activation": "relu", **{name: found[name] for name in names}}
    shape = ops.get("conv").infer(call("conv", [x.shape, w.shape], **attributes))[0].static_shape
    added = random.normal(size=shape) if residual else np.zeros(shape)
    expected = np.zeros(shape)
    for b, o in product(range(n), range(oc)):
        first = o // (oc // group) * (c // group)
        for out, inside in windows(
            found["extents"], found["kernel"], found["strides"], found["dilations"], found["pads"], shape[2:]
        ):
            total = sum(x[(b, first + i, *at)] * w[(o, i, *k)] for i in range(c // group) for k, at in inside)
            expected[(b, o, *out)] = max(total + bias[o] + added[(b, o, *out)], 0)
    (y,) = ops.get("conv").reference(attributes, x, w, bias, added if residual else None)
    # Both sum at most 8 products in fp64.
    np.testing.assert_allclose(y, expected, rtol=0, atol=64 * np.finfo(np.float64).eps * 8)


@given(geometry(), st.integers(1, 2))
def test_conv_transpose_is_the_adjoint(found: dict[str, Any], group: int) -> None:
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ where the shapes close up."""
    random = np.random.default_rng(found["seed"])
    c, oc = 2 * group, group
    w = random.normal(size=(oc, c // group, *found["kernel"]))
    attributes = {"group": group, **{name: found[name] for name in ("strides", "dilations", "pads")}}
    x = random.normal(size=(2, c, *found["extents"]))
    (forward,) = ops.get("conv").reference(attributes, x, w)
    y = random.normal(size=forward.shape)
    spans = [(k - 1) * d + 1 for k, d in zip(found["kernel"], found["dilations"], strict=True)]
    rank = len(spans)
    rests = [
        (extent + found["pads"][i] + found["pads"][rank + i] - span) % stride
        for i, (extent, span, stride) in enumerate(zip(found["extents"], spans, found["strides"], strict=True))
    ]
    (back,) = ops.get("conv_transpose").reference({**attributes, "output_padding": tuple(rests)}, y, w)
    assert back.shape == x.shape
    scale = np.abs(forward).sum() * np.abs(y).max() + 1
    assert abs((forward * y).sum() - (x * back).sum()) <= 64 * np.finfo(np.float64).eps * scale * prod(x.shape)


@given(geometry(), st.booleans(), st.booleans())
def test_pools_are_their_definition(found: dict[str, Any], ceil: bool, with_pads: bool) -> None:
    random = np.random.default_rng(found["seed"])
    x = random.normal(size=(1, 2, *found["extents"]))
    pads = tuple(min(pad, 1) for pad in found["pads"])
    attributes = {
        "kernel_shape": found["kernel"],
        "strides": found["strides"],
        "dilations": found["dilations"],
        "pads": pads,
    }
    attributes["ceil_mode"] = int(ceil)
    shape = ops.get("max_pool").infer(call("max_pool", [x.shape], **attributes))[0].static_shape
    rank = len(found["extents"])
    for axis, extent in enumerate(shape[2:]):
        # ONNX: no window starts in the padding after the input.
        assert (extent - 1) * found["strides"][axis] < found["extents"][axis] + pads[axis] or not ceil
    largest, average = np.zeros(shape), np.zeros(shape)
    padded = [extent + pads[i] + pads[rank + i] for i, extent in enumerate(found["extents"])]
    spots = windows(found["extents"], found["kernel"], found["strides"], found["dilations"], pads, shape[2:])
    wide = windows(padded, found["kernel"], found["strides"], found["dilations"], (0,) * rank, shape[2:])
    for (out, inside), (_, covered) in zip(spots, wide, strict=True):
        count = len(covered) if with_pads else len(inside)
        for channel in range(2):
            values = [x[(0, channel, *at)] for _, at in inside]
            largest[(0, channel, *out)] = max(values, default=-np.inf)
            average[(0, channel, *out)] = sum(values) / count if count else np.nan
    y, indices = ops.get("max_pool").reference(attributes, x)
    np.testing.assert_array_equal(y, largest)
    chosen = indices >= 0
    np.testing.assert_array_equal(x.reshape(-1)[indices[chosen]], y[chosen])
    (y,) = ops.get("average_pool").reference({**attributes, "count_include_pad": int(with_pads)}, x)
    np.testing.assert_allclose(y, average, rtol=1e-14, atol=1e-14)


def test_max_pool_propagates_nan() -> None:
    x = np.array([[[1.0, np.nan, 3.0, -np.inf]]])
    y, indices = ops.get("max_pool").reference({"kernel_shape": (2,), "strides": (2,)}, x)
    np.testing.assert_array_equal(y, [[[np.nan, 3.0]]])
    np.testing.assert_array_equal(indices, [[[1, 2]]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [("SAME_UPPER", (1, 0, 1, 1)), ("SAME_LOWER", (1, 1, 1, 0)), ("VALID", (0, 0, 0, 0)), ("NOTSET", (0, 0, 0, 0))],
)
def test_pads_are_resolved(how: str, expected: tuple[int, ...]) -> None:
    shapes: list[Any] = [(1, 1, 5, 6), (1, 1, 3, 2)]
    assert conv_pads(call("conv", shapes, auto_pad=how)) == expected
    assert pool_pads(call("max_pool", shapes[:1], auto_pad=how, kernel_shape=(3, 2))) == expected


def test_candidates_follow_the_geometry() -> None:
    depthwise = call("conv", [(1, 8, 5, 5), (16, 1, 3, 3)], group=8)
    pointwise = call("conv", [(1, 32, 5, 5), (64, 32, 1, 1)])
    strided = call("conv", [(1, 32, 5, 5), (64, 32, 1, 1)], strides=(2, 2))
    voxels = call("conv", [(1, 8, 5, 5, 5), (16, 8, 1, 1, 1)])
    narrow = call("conv", [(1, 32, 5, 5), (32, 4, 3, 3)], group=8)
    uneven = [
        call("conv", [(1, 24, 5, 5), (24, 12, 3, 3)], group=2),
        call("conv", [(1, 32, 5, 5), (64, 4, 3, 3)], group=8),
    ]
    assert (is_depthwise(depthwise), is_depthwise(pointwise)) == (True, False)
    assert (is_pointwise(pointwise), is_pointwise(strided), is_pointwise(depthwise)) == (True, True, False)

    def chosen(found: Call) -> list[tuple[str, str]]:
        return [(c.family, c.algorithm) for c in ops.get("conv").candidates if c.when(found)]

    assert chosen(depthwise)[0] == ("depthwise", "direct")
    assert chosen(pointwise)[0] == ("conv", "pointwise")
    assert chosen(strided) == chosen(pointwise)
    assert chosen(voxels) == []
    assert chosen(narrow)[0] == ("depthwise", "grouped")
    assert all(("depthwise", "grouped") not in chosen(found) for found in (*uneven, depthwise, pointwise))


def test_flops_of_resnet_stem() -> None:
    found = call("conv", [(1, 3, 224, 224), (64, 3, 7, 7)], strides=(2, 2), pads=(3, 3, 3, 3))
    assert ops.get("conv").flops(found) == 2 * 64 * 112 * 112 * 3 * 7 * 7


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "rule"),
    [
        ("conv", [(1, 3, 8, 8), (4, 2, 3, 3)], {}, "weight must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"group": 0}, "group must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"strides": (1,)}, "strides must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"strides": (0, 1)}, "strides must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"pads": (-1, 0, 0, 0)}, "pads must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"dilations": (9, 9)}, "window must fit"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"kernel_shape": (5, 5)}, "kernel_shape must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"auto_pad": "SAME"}, "auto_pad must be"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), (3,)], {}, "bias must have shape"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), None, (1, 4, 8, 8)], {}, "residual must broadcast"),
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3)], {"activation": "gauss"}, "activation must be"),
        ("conv", [(1, 3)], {}, "must have 2 to 4 inputs"),
        ("max_pool", [(1, 3, 8, 8)], {}, "kernel must have"),
        ("average_pool", [(1, 3, 8, 8)], {"kernel_shape": "33"}, "attribute kernel_shape"),
        ("global_average_pool", [(1, 3, 0, 8)], {}, "spatial extents"),
        ("conv_transpose", [(1, 3, 8, 8), (4, 3, 3, 3)], {}, "weight must be"),
        ("conv_transpose", [(1, 3, 2, 2), (3, 3, 1, 1)], {"pads": (3, 3, 3, 3)}, "pads must leave"),
    ],
)
def test_refusals(op: str, shapes: list[Any], attributes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ShapeError, match=rf"^{op} 'n': .*{rule}"):
        ops.get(op).infer(call(op, shapes, **attributes))
