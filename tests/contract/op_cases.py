"""For every op a way to draw a valid application of it: attributes and inputs, small, of many shapes and dtypes.

Structure is drawn by hypothesis, so that a failure shrinks; elements come from a generator whose seed is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from thew.dtypes import FLOATS, to_numpy

Case = tuple[dict[str, Any], list[Any]]
INTEGERS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")


@dataclass
class Source:
    """What a case is drawn from."""

    draw: Callable[[Any], Any]

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.draw(st.integers(0, 2**32 - 1)))

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def count(self, least: int, most: int) -> int:
        return int(self.draw(st.integers(least, most)))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def shape(self, least: int = 0, most: int = 4, smallest: int = 0) -> tuple[int, ...]:
        return tuple(self.draw(st.lists(st.integers(smallest, 4), min_size=least, max_size=most)))

    def axis(self, rank: int, end: bool = False) -> int:
        return self.count(-rank, rank - (not end))

    def array(self, dtype: str, shape: tuple[int, ...]) -> Any:
        """Elements of any value that stays harmless in sums and products; special ones now and then in floats."""
        target = to_numpy(dtype)
        if dtype == "bool":
            return np.asarray(self.random.integers(0, 2, shape)).astype(np.bool_)
        if dtype in FLOATS:
            values = self.random.normal(size=shape) * 2
            if self.count(0, 9) == 0:
                special = self.random.choice([np.nan, np.inf, -np.inf], shape)
                values = np.where(self.random.random(shape) < 0.2, special, values)
            return np.asarray(values).astype(target)
        low = 0 if dtype.startswith("u") else -2
        return np.asarray(self.random.integers(low, 4, shape)).astype(np.int8).astype(target)

    def float_type(self) -> str:
        return str(self.one_of(*FLOATS))

    def number_type(self) -> str:
        return str(self.one_of(*FLOATS, *INTEGERS))

    def smaller(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this one."""
        cut = self.count(0, len(shape))
        return tuple(extent if self.flag() else 1 for extent in shape[cut:])

    def spatial(self, rank: int) -> dict[str, Any]:
        """Attributes of windows, for inputs of extents of at least 5 and kernels of at most 2."""
        attributes: dict[str, Any] = {}
        if self.flag():
            attributes["strides"] = tuple(self.count(1, 3) for _ in range(rank))
        if self.flag():
            attributes["dilations"] = tuple(self.count(1, 3) for _ in range(rank))
        padding = self.one_of("none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID")
        if padding == "pads":
            attributes["pads"] = tuple(self.count(0, 1) for _ in range(2 * rank))
        elif padding != "none":
            attributes["auto_pad"] = padding
        return attributes


def _ints(*values: int) -> Any:
    return np.array(values, np.int64)


def unary(source: Source, dtypes: tuple[str, ...] = FLOATS) -> Case:
    return {}, [source.array(source.one_of(*dtypes), source.shape())]


def with_alpha(source: Source) -> Case:
    return {"alpha": source.one_of(0.25, 1.0, 2.0)}, unary(source)[1]


def binary(source: Source, dtypes: tuple[str, ...] = (*FLOATS, *INTEGERS)) -> Case:
    dtype, shape = source.one_of(*dtypes), source.shape()
    return {}, [source.array(dtype, source.smaller(shape)), source.array(dtype, shape)][:: source.one_of(1, -1)]


def fused_binary(source: Source) -> Case:
    attributes = {"activation": source.one_of("", "relu", "clip", "hard_swish")}
    if attributes["activation"] == "clip":
        attributes["activation_parameters"] = (0.0, 1.5)
    return attributes, binary(source)[1]


def unidirectional(source: Source) -> Case:
    dtype, shape = source.number_type(), source.shape()
    return {}, [source.array(dtype, shape), source.array(dtype, source.smaller(shape))]


def two_types(source: Source) -> Case:
    inputs = binary(source)[1]
    exponents, kind = np.abs(inputs[1]), source.number_type()
    if kind not in FLOATS and exponents.dtype.kind != "i":
        exponents = np.nan_to_num(exponents, posinf=3)  # no integer says infinity
    return {}, [inputs[0], exponents.astype(to_numpy(kind))]


def variadic(source: Source, dtypes: tuple[str, ...] = FLOATS) -> Case:
    dtype, shape = source.one_of(*dtypes), source.shape()
    return {}, [source.array(dtype, source.smaller(shape)) for _ in range(source.count(1, 4))]


def bit_shift(source: Source) -> Case:
    return {"direction": source.one_of("LEFT", "RIGHT")}, binary(source, INTEGERS)[1]


def modulo(source: Source) -> Case:
    return {"fmod": source.count(0, 1)}, binary(source)[1]


def where(source: Source) -> Case:
    shape, dtype = source.shape(), source.number_type()
    branches = [source.array(dtype, source.smaller(shape)) for _ in range(2)]
    return {}, [source.array("bool", source.smaller(shape)), *branches]


def clip(source: Source) -> Case:
    dtype = source.number_type()
    bounds = [source.array(dtype, ()) if source.flag() else None for _ in range(2)]
    return {}, [source.array(dtype, source.shape()), *bounds]


def conv(source: Source, transposed: bool = False, dtype: str = "") -> Case:
    rank, group, kind = source.count(1, 3), source.count(1, 2), dtype or source.float_type()
    n, c, oc = source.count(0, 2), group * source.count(1, 2), group * source.count(1, 2)
    kernel = tuple(source.count(1, 2) for _ in range(rank))
    x = source.array(kind, (n, c, *(source.count(5, 6) for _ in range(rank))))
    weight = (c, oc // group, *kernel) if transposed else (oc, c // group, *kernel)
    bias = [source.array(kind, (oc,))] if not dtype and source.flag() else []
    return {"group": group, **source.spatial(rank)}, [x, source.array(kind, weight), *bias]


def fused_conv(source: Source) -> Case:
    attributes, inputs = conv(source)
    return {**attributes, "activation": source.one_of("", "relu", "silu")}, inputs


def conv_transpose(source: Source) -> Case:
    attributes, inputs = conv(source, transposed=True)
    if source.flag() and "auto_pad" not in attributes:
        attributes["output_padding"] = tuple(source.count(0, 1) for _ in inputs[0].shape[2:])
    return attributes, inputs


def pool(source: Source, **more: Any) -> Case:
    rank = source.count(1, 3)
    attributes = {"kernel_shape": tuple(source.count(1, 2) for _ in range(rank)), **source.spatial(rank), **more}
    if source.flag():
        attributes["ceil_mode"] = 1
    shape = (source.count(0, 2), source.count(1, 3), *(source.count(5, 6) for _ in range(rank)))
    return attributes, [source.array(source.float_type(), shape)]


def max_unpool(source: Source) -> Case:
    kernel, strides = (source.count(1, 3), source.count(1, 3)), (source.count(1, 3), source.count(1, 3))
    shape = (source.count(1, 2), source.count(1, 2), source.count(1, 3), source.count(1, 3))
    spanned = [(n - 1) * s + k for n, s, k in zip(shape[2:], strides, kernel, strict=True)]
    indices = source.random.permutation(shape[0] * shape[1] * spanned[0] * spanned[1])
    indices = np.resize(indices, shape).astype(np.int64)
    larger = [_ints(*shape[:2], spanned[0] + 1, spanned[1] + 2)] if source.flag() else []
    attributes = {"kernel_shape": kernel, "strides": strides}
    return attributes, [source.array(source.float_type(), shape), indices, *larger]


def global_pool(source: Source) -> Case:
    return {}, [source.array(source.float_type(), source.shape(3, 5, 1))]


def matmul(source: Source, dtypes: tuple[str, str] | None = None) -> Case:
    m, k, n = source.count(0, 4), source.count(1, 4), source.count(1, 4)
    batch = source.shape(0, 2)
    kind = source.float_type()
    a, b = dtypes or (kind, kind)
    left = source.array(a, (*source.smaller(batch), m, k))
    right = source.array(b, (*source.smaller(batch), k, n))
    return {}, [left, right]


def fused_matmul(source: Source) -> Case:
    _, (a, b) = matmul(source)
    dtype, shape = a.dtype, np.matmul(np.zeros(a.shape), np.zeros(b.shape)).shape
    bias = source.random.normal(size=shape[-1:]).astype(dtype) if source.flag() else None
    residual = source.random.normal(size=shape).astype(dtype) if source.flag() else None
    return {"activation": source.one_of("", "relu", "tanh")}, [a, b, bias, residual]


def scaled_matmul(source: Source) -> Case:
    _, (a, b) = matmul(source, ("fp32", "int8"))
    b = b.reshape(-1, *b.shape[-2:])[0] if b.size else np.zeros(b.shape[-2:], b.dtype)
    columns = b.shape[1]
    scale = source.random.uniform(0.01, 1, columns if source.flag() else 1).astype(np.float32)
    bias = source.random.normal(size=columns).astype(np.float32) if source.flag() else None
    return {"activation": source.one_of("", "relu", "tanh")}, [a, b, bias, None, scale]


def gemm(source: Source) -> Case:
    m, k, n, kind = source.count(0, 4), source.count(1, 4), source.count(1, 4), source.float_type()
    turns = source.count(0, 1), source.count(0, 1)
    a, b = source.array(kind, (m, k)), source.array(kind, (k, n))
    c = [source.array(kind, source.smaller((m, n)))] if source.flag() else []
    attributes = {"alpha": source.one_of(1.0, 0.5), "beta": source.one_of(1.0, 0.0)}
    attributes |= {"transA": turns[0], "transB": turns[1]}
    return attributes, [a.T if turns[0] else a, b.T if turns[1] else b, *c]


def einsum(source: Source) -> Case:
    equation, *ranks = source.one_of(
        ("ij,jk->ik", "ij", "jk"), ("...i,...i", "zzi", "zi"), ("ii->i", "ii"), ("bij,bjk", "bij", "bjk"), ("i->", "i")
    )
    extents = {letter: source.count(1, 3) for letter in "ijkbz"}
    kind = source.float_type()
    return {"equation": equation}, [source.array(kind, tuple(extents[letter] for letter in rank)) for rank in ranks]


def channel_norm(source: Source, vectors: int, least: int = 2, **attributes: Any) -> Case:
    kind, shape = source.float_type(), source.shape(least, 4, 1)
    return attributes, [source.array(kind, shape), *(np.abs(source.array(kind, shape[1:2])) for _ in range(vectors))]


def group_norm(source: Source) -> Case:
    _, inputs = channel_norm(source, 2)
    channels = inputs[0].shape[1]
    return {"num_groups": source.one_of(*(g for g in range(1, channels + 1) if channels % g == 0))}, inputs


def layer_norm(source: Source, bias: bool = True) -> Case:
    kind, shape = source.float_type(), source.shape(1, 4)
    axis = source.axis(len(shape))
    tail = [source.array(kind, shape[axis % len(shape) :]) for _ in range(1 + (bias and source.flag()))]
    return {"axis": axis}, [source.array(kind, shape), *tail]


def lrn(source: Source) -> Case:
    return {"size": source.count(1, 9)}, channel_norm(source, 0)[1]


def along_axis(source: Source, **attributes: Any) -> Case:
    shape = source.shape(1, 4)
    return {"axis": source.axis(len(shape)), **attributes}, [source.array(source.float_type(), shape)]


def lp_normalization(source: Source) -> Case:
    return along_axis(source, p=source.count(1, 2))


def mean_variance(source: Source) -> Case:
    shape = source.shape(1, 4)
    return {"axes": tuple({source.axis(len(shape)) % len(shape)})}, [source.array(source.float_type(), shape)]


def reduction(source: Source, dtypes: tuple[str, ...] = (*FLOATS, "int32", "int64", "uint32", "uint64")) -> Case:
    shape = source.shape()
    axes = tuple(axis - len(shape) * source.flag() for axis in range(len(shape)) if source.flag())
    attributes = {"keepdims": source.count(0, 1), "noop_with_empty_axes": source.count(0, 1)}
    given = [_ints(*axes)] if source.flag() else []
    return attributes, [source.array(source.one_of(*dtypes), shape), *given]


def arg_reduction(source: Source) -> Case:
    shape = source.shape(1, 4, 1)
    attributes = {"axis": source.axis(len(shape)), "keepdims": source.count(0, 1)}
    return {**attributes, "select_last_index": source.count(0, 1)}, [source.array(source.number_type(), shape)]


def cumulative(source: Source) -> Case:
    shape = source.shape(1, 4)
    attributes = {"exclusive": source.count(0, 1), "reverse": source.count(0, 1)}
    return attributes, [source.array(source.float_type(), shape), np.array(source.axis(len(shape)), np.int64)]


def reshape(source: Source) -> Case:
    shape = source.shape(0, 4, 1)
    x = source.array(source.number_type(), shape)
    asked = list(source.draw(st.permutations(shape)))
    if asked and source.flag():
        asked[source.count(0, len(asked) - 1)] = -1
    return {}, [x, _ints(*asked)]


def flatten(source: Source) -> Case:
    shape = source.shape()
    return {"axis": source.axis(len(shape), end=True)}, [source.array(source.number_type(), shape)]


def squeeze(source: Source) -> Case:
    shape = tuple(extent if source.flag() else 1 for extent in source.shape())
    ones = [axis for axis, extent in enumerate(shape) if extent == 1 and source.flag()]
    return {}, [source.array(source.number_type(), shape), *([_ints(*ones)] if source.flag() else [])]


def unsqueeze(source: Source) -> Case:
    shape, count = source.shape(0, 3), source.count(0, 3)
    rank = len(shape) + count
    axes = source.draw(st.permutations(range(rank)))[:count]
    return {}, [source.array(source.number_type(), shape), _ints(*(axis - rank * source.flag() for axis in axes))]


def expand(source: Source) -> Case:
    shape = source.shape()
    return {}, [source.array(source.number_type(), source.smaller(shape)), _ints(*shape)]


def transpose(source: Source) -> Case:
    shape = source.shape()
    return {"perm": tuple(source.draw(st.permutations(range(len(shape)))))}, [source.array(source.number_type(), shape)]


def concat(source: Source) -> Case:
    shape, dtype = source.shape(1, 4), source.number_type()
    axis = source.axis(len(shape))
    at = axis % len(shape)
    parts = [(*shape[:at], source.count(0, 3), *shape[at + 1 :]) for _ in range(source.count(1, 3))]
    return {"axis": axis}, [source.array(dtype, part) for part in parts]


def split(source: Source) -> Case:
    shape = source.shape(1, 4)
    axis = source.axis(len(shape))
    x = source.array(source.number_type(), shape)
    if source.flag():
        return {"axis": axis, "num_outputs": source.count(1, 5)}, [x]
    cut = source.count(0, shape[axis])
    return {"axis": axis}, [x, _ints(cut, shape[axis] - cut)]


def slices(source: Source) -> Case:
    shape = source.shape(1, 4)
    axes = [axis - len(shape) * source.flag() for axis in range(len(shape)) if source.flag()]
    far = [-(2**63), -5, -2, -1, 0, 1, 2, 5, 2**63 - 1]
    starts, ends = ([source.one_of(*far) for _ in axes] for _ in range(2))
    steps = [source.one_of(1, 2, -1, -3, 2**63 - 1, -(2**63)) for _ in axes]
    return {}, [source.array(source.number_type(), shape), _ints(*starts), _ints(*ends), _ints(*axes), _ints(*steps)]


def pad(source: Source) -> Case:
    shape, dtype = source.shape(1, 4, 1), source.number_type()
    mode = source.one_of("constant", "edge", "reflect", "wrap")
    axes = [axis for axis in range(len(shape)) if source.flag()]
    before = [source.count(-1 if shape[axis] > 1 else 0, 5) for axis in axes]
    after = [source.count(0, 5) for _ in axes]
    return {"mode": mode}, [source.array(dtype, shape), _ints(*before, *after), source.array(dtype, ()), _ints(*axes)]


def tile(source: Source) -> Case:
    shape = source.shape()
    return {}, [source.array(source.number_type(), shape), _ints(*(source.count(0, 3) for _ in shape))]


def bounds_of_shape(source: Source) -> Case:
    attributes = {"start": source.count(-6, 6), "end": source.one_of(None, -6, -1, 0, 2, 9)}
    return attributes, [source.array(source.number_type(), source.shape())]


def trilu(source: Source) -> Case:
    x = source.array(source.number_type(), source.shape(2, 4))
    return {"upper": source.count(0, 1)}, [x, np.array(source.one_of(-(2**63), -1, 0, 2, 2**63 - 1), np.int64)]


def dropout(source: Source) -> Case:
    ratio, training = np.array(0.25, np.float32), np.array(source.flag())
    return {"seed": 3}, [
        source.array(source.float_type(), source.shape()),
        *([ratio, training] if source.flag() else []),
    ]


def gather(source: Source) -> Case:
    shape = source.shape(1, 4, 1)
    axis = source.axis(len(shape))
    indices = source.random.integers(-shape[axis], shape[axis], source.shape(0, 2))
    return {"axis": axis}, [
        source.array(source.number_type(), shape),
        indices.astype(to_numpy(source.one_of("int32", "int64"))),
    ]


def elements(source: Source) -> Case:
    shape = source.shape(1, 4, 1)
    axis = source.axis(len(shape))
    at = axis % len(shape)
    sizes = tuple(source.count(0, 3) if i == at else source.count(0, extent) for i, extent in enumerate(shape))
    indices = source.random.integers(-shape[at], shape[at], sizes).astype(np.int64)
    return {"axis": axis}, [source.array(source.number_type(), shape), indices]


def scatter_elements(source: Source) -> Case:
    attributes, (x, indices) = elements(source)
    updates = source.random.normal(size=indices.shape).astype(np.float32)
    reduction_kind = source.one_of("none", "add", "mul", "max", "min")
    return {**attributes, "reduction": reduction_kind}, [x.astype(np.float32), indices, updates]


def coordinates(source: Source, shape: tuple[int, ...], lead: tuple[int, ...], depth: int, first: int = 0) -> Any:
    columns = [source.random.integers(-extent, extent, lead) for extent in shape[first : first + depth]]
    return np.stack(columns, -1).astype(np.int64) if columns else np.zeros((*lead, 0), np.int64)


def gather_nd(source: Source) -> Case:
    shape = source.shape(1, 4, 1)
    batch = source.count(0, len(shape) - 1)
    depth = source.count(1, len(shape) - batch)
    lead = (*shape[:batch], *source.shape(0, 2))
    indices = coordinates(source, shape, lead, depth, batch)
    return {"batch_dims": batch}, [source.array(source.number_type(), shape), indices]


def scatter_nd(source: Source) -> Case:
    shape = source.shape(1, 4, 1)
    depth, lead = source.count(0, len(shape)), source.shape(0, 2)
    indices = coordinates(source, shape, lead, depth)
    updates = source.array("fp32", (*lead, *shape[depth:]))
    return {"reduction": source.one_of("none", "add", "max")}, [source.array("fp32", shape), indices, updates]


def one_hot(source: Source) -> Case:
    shape = source.shape(0, 3)
    indices = source.random.integers(-5, 5, shape).astype(to_numpy(source.one_of("int64", "int32", "fp32")))
    values = source.array(source.number_type(), (2,))
    return {"axis": source.axis(len(shape) + 1)}, [indices, np.array(source.count(0, 4), np.int64), values]


def compress(source: Source) -> Case:
    shape = source.shape(1, 3)
    attributes = {"axis": source.axis(len(shape))} if source.flag() else {}
    condition = source.random.integers(0, 2, source.count(0, 6)).astype(np.bool_)
    return attributes, [source.array(source.number_type(), shape), condition]


def top_k(source: Source) -> Case:
    shape = source.shape(1, 3)
    axis = source.axis(len(shape))
    attributes = {"axis": axis, "largest": source.count(0, 1), "sorted": source.count(0, 1)}
    return attributes, [source.array(source.number_type(), shape), _ints(source.count(0, shape[axis]))]


def unique(source: Source) -> Case:
    shape = source.shape(1, 3, 1)
    attributes = {"axis": source.axis(len(shape))} if source.flag() else {}
    return {**attributes, "sorted": source.count(0, 1)}, [source.array(source.number_type(), shape)]


def reverse_sequence(source: Source) -> Case:
    shape, batch = source.shape(2, 4), source.count(0, 1)
    lengths = source.random.integers(0, shape[1 - batch] + 1, shape[batch]).astype(np.int64)
    return {"batch_axis": batch, "time_axis": 1 - batch}, [source.array(source.number_type(), shape), lengths]


def depth_to_space(source: Source) -> Case:
    block = source.count(1, 3)
    n, c, h, w = source.count(0, 2), source.count(1, 2) * block * block, source.count(0, 3), source.count(0, 3)
    return {"blocksize": block, "mode": source.one_of("DCR", "CRD")}, [source.array(source.number_type(), (n, c, h, w))]


def space_to_depth(source: Source) -> Case:
    attributes, (x,) = depth_to_space(source)
    block, (n, c, h, w) = attributes["blocksize"], x.shape
    return attributes, [x.reshape(n, c // block**2, h * block, w * block)]


def col2_im(source: Source) -> Case:
    image, block = (source.count(3, 5), source.count(3, 5)), (source.count(1, 3), source.count(1, 3))
    windows = (image[0] - block[0] + 1) * (image[1] - block[1] + 1)
    x = source.array(source.float_type(), (source.count(0, 2), source.count(1, 2) * block[0] * block[1], windows))
    return {}, [x, _ints(*image), _ints(*block)]


def center_crop_pad(source: Source) -> Case:
    shape = source.shape()
    return {}, [source.array(source.number_type(), shape), _ints(*(source.count(0, 6) for _ in shape))]


def resize(source: Source) -> Case:
    shape = source.shape(1, 3, 1)
    mode = source.one_of("nearest", "linear", "cubic")
    attributes: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": source.one_of(
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_crop_and_resize",
        ),
        "nearest_mode": source.one_of("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        "antialias": source.count(0, 1) if mode != "nearest" else 0,
        "exclude_outside": source.count(0, 1),
    }
    region = np.array([0.0] * len(shape) + [1.0] * len(shape), np.float32)
    x = source.array(source.number_type(), shape)
    if source.flag():
        return attributes, [x, region, np.array([source.one_of(0.5, 0.7, 1.0, 1.5, 3.0) for _ in shape], np.float32)]
    attributes["keep_aspect_ratio_policy"] = source.one_of("stretch", "not_larger", "not_smaller")
    return attributes, [x, region, None, _ints(*(source.count(1, 6) for _ in shape))]


def loss(source: Source) -> Case:
    shape, kind = source.shape(2, 4, 1), source.float_type()
    target = source.random.integers(0, shape[1], (shape[0], *shape[2:])).astype(np.int64)
    weight = [np.abs(source.array(kind, shape[1:2]))] if source.flag() else []
    attributes = {"reduction": source.one_of("none", "sum", "mean"), "ignore_index": source.one_of(None, 0, -1)}
    return attributes, [source.array(kind, shape), target, *weight]


def cast(source: Source) -> Case:
    types = (*FLOATS, *INTEGERS, "bool", "fp8e4m3fn", "fp8e5m2", "int4", "uint4", "fp4e2m1", "fp8e8m0")
    return {"to": source.one_of(*types), "saturate": source.count(0, 1)}, [
        source.array(source.number_type(), source.shape())
    ]


def cast_like(source: Source) -> Case:
    return {}, [source.array(source.number_type(), source.shape()), source.array(source.number_type(), (1,))]


def bit_cast(source: Source) -> Case:
    one, other = source.one_of(("fp32", "int32"), ("fp16", "bf16"), ("int64", "fp64"), ("uint8", "int8"))
    return {"to": other}, [source.array(one, source.shape())]


def quantisation(source: Source, back: bool) -> Case:
    shape, whole = source.shape(1, 4, 1), source.one_of("uint8", "int8", "int16", "uint16", "int4", "uint4")
    axis = source.axis(len(shape))
    sizes = source.one_of((), (1,), (shape[axis],))
    scale = (np.abs(source.random.normal(size=sizes)) + 0.1).astype(to_numpy(source.one_of("fp32", "fp16")))
    zero = [source.random.integers(0, 4, sizes).astype(np.int8).astype(to_numpy(whole))]
    dtype = whole if back else "fp32"
    optional = zero if back or source.flag() else []
    return {"axis": axis}, [source.array(dtype, shape), scale, *optional]


def integer_product(source: Source, draw_product: Callable[[Source], Case]) -> Case:
    attributes, (a, b) = draw_product(source)
    zeros = [np.array(source.count(0, 3), array.dtype) for array in (a, b)]
    return attributes, [a, b, *zeros[: source.count(0, 2)]]


def quantised_pair(source: Source, draw_pair: Callable[[Source], Case]) -> Case:
    attributes, (a, b) = draw_pair(source)
    scales = [np.array(source.one_of(0.5, 0.25), np.float32) for _ in range(3)]
    zeros = [np.array(source.count(0, 3), array.dtype) for array in (a, b, a)]
    limits = source.one_of({}, {"low": source.count(0, 3)}, {"low": source.count(0, 3), "high": 99})
    return {**attributes, **limits}, [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]


def lookup(source: Source) -> Case:
    kinds = ("int8", "uint8")
    return {}, [source.array(source.one_of(*kinds), source.shape()), source.array(source.one_of(*kinds), (256,))]


def _byte_conv(source: Source) -> Case:
    return conv(source, dtype=source.one_of("int8", "uint8"))


def _byte_matmul(source: Source) -> Case:
    return matmul(source, (source.one_of("int8", "uint8"), source.one_of("int8", "uint8")))


def constant_of_shape(source: Source) -> Case:
    value = source.one_of(None, np.array([3], np.int64), np.array(0.5, np.float16))
    return {"value": value}, [_ints(*source.shape())]


def ranges(source: Source) -> Case:
    kind = to_numpy(source.one_of("fp32", "fp64", "int64", "int32", "int16"))
    return {}, [np.array(source.count(*bounds), kind) for bounds in ((-5, 5), (-9, 9), (1, 3))]


def eye_like(source: Source) -> Case:
    attributes = {
        "k": source.one_of(-(2**63), -1, 0, 2, 2**63 - 1),
        "dtype": source.one_of(None, "fp32", "int8", "bf16"),
    }
    return attributes, [source.array(source.number_type(), source.shape(2, 2))]


def _floats(*names: str) -> dict[str, Callable[[Source], Case]]:
    return dict.fromkeys(names, unary)


NUMBERS = (*FLOATS, *INTEGERS)
SIGNED = (*FLOATS, "int8", "int16", "int32", "int64")

CASES: dict[str, Callable[[Source], Case]] = {
    **_floats(
        "exp", "log", "sqrt", "reciprocal", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos", "atan"
    ),
    **_floats(
        "sinh", "cosh", "asinh", "acosh", "atanh", "sigmoid", "silu", "hard_swish", "tanh", "softplus", "softsign"
    ),
    **_floats("mish", "selu", "hard_sigmoid", "shrink", "is_nan", "is_inf"),
    **dict.fromkeys(("leaky_relu", "thresholded_relu", "elu", "celu", "swish"), with_alpha),
    **dict.fromkeys(
        ("erf", "abs", "sign", "hold", "identity", "size", "non_zero"), lambda source: unary(source, NUMBERS)
    ),
    **dict.fromkeys(("neg", "relu"), lambda source: unary(source, SIGNED)),
    "gelu": lambda source: ({"approximate": source.one_of("none", "tanh")}, unary(source)[1]),
    "not": lambda source: unary(source, ("bool",)),
    "bitwise_not": lambda source: unary(source, INTEGERS),
    "clip": clip,
    **dict.fromkeys(("add", "sub", "mul", "div"), fused_binary),
    **dict.fromkeys(("equal", "greater", "less", "greater_or_equal", "less_or_equal"), binary),
    **dict.fromkeys(("and", "or", "xor"), lambda source: binary(source, ("bool",))),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), lambda source: binary(source, INTEGERS)),
    "swi_glu": lambda source: binary(source, FLOATS),
    "pow": two_types,
    "mod": modulo,
    "prelu": unidirectional,
    "bit_shift": bit_shift,
    "where": where,
    **dict.fromkeys(("max", "min"), lambda source: variadic(source, NUMBERS)),
    **dict.fromkeys(("sum", "mean"), variadic),
    "conv": fused_conv,
    "conv_transpose": conv_transpose,
    "max_pool": lambda source: pool(source, storage_order=source.count(0, 1)),
    "average_pool": lambda source: pool(source, count_include_pad=source.count(0, 1)),
    "lp_pool": lambda source: pool(source, p=source.count(1, 3)),
    "max_unpool": max_unpool,
    **dict.fromkeys(("global_average_pool", "global_max_pool", "global_lp_pool"), global_pool),
    "matmul": fused_matmul,
    "scaled_matmul": scaled_matmul,
    "gemm": gemm,
    "einsum": einsum,
    "batch_normalization": lambda source: channel_norm(source, 4, training_mode=source.count(0, 1)),
    "instance_normalization": lambda source: channel_norm(source, 2, 3),
    "group_normalization": group_norm,
    "layer_normalization": layer_norm,
    "rms_normalization": lambda source: layer_norm(source, bias=False),
    "lrn": lrn,
    "lp_normalization": lp_normalization,
    "mean_variance_normalization": mean_variance,
    **dict.fromkeys(("softmax", "log_softmax", "hardmax"), along_axis),
    **{
        f"reduce_{name}": reduction
        for name in ("sum", "mean", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")
    },
    **{f"reduce_{name}": lambda source: reduction(source, (*NUMBERS, "bool")) for name in ("max", "min")},
    **dict.fromkeys(("arg_max", "arg_min"), arg_reduction),
    **dict.fromkeys(("cum_sum", "cum_prod"), cumulative),
    "reshape": reshape,
    "flatten": flatten,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "expand": expand,
    "transpose": transpose,
    "concat": concat,
    "split": split,
    "slice": slices,
    "pad": pad,
    "tile": tile,
    "shape": bounds_of_shape,
    "trilu": trilu,
    "dropout": dropout,
    "gather": gather,
    "gather_elements": elements,
    "gather_nd": gather_nd,
    "scatter_elements": scatter_elements,
    "scatter_nd": scatter_nd,
    "one_hot": one_hot,
    "compress": compress,
    "top_k": top_k,
    "unique": unique,
    "reverse_sequence": reverse_sequence,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "col2_im": col2_im,
    "center_crop_pad": center_crop_pad,
    "resize": resize,
    **dict.fromkeys(("negative_log_likelihood_loss", "softmax_cross_entropy_loss"), loss),
    "cast": cast,
    "cast_like": cast_like,
    "bit_cast": bit_cast,
    "quantize_linear": lambda source: quantisation(source, back=False),
    "dequantize_linear": lambda source: quantisation(source, back=True),
    "dynamic_quantize_linear": lambda source: unary(source, ("fp32",)),
    "conv_integer": lambda source: integer_product(source, _byte_conv),
    "matmul_integer": lambda source: integer_product(source, _byte_matmul),
    "qlinear_conv": lambda source: quantised_pair(source, _byte_conv),
    "qlinear_matmul": lambda source: quantised_pair(source, _byte_matmul),
    **dict.fromkeys(
        ("qlinear_add", "qlinear_mul"),
        lambda source: quantised_pair(source, lambda drawn: binary(drawn, ("int8", "uint8"))),
    ),
    "lookup": lookup,
    "constant_of_shape": constant_of_shape,
    "range": ranges,
    "eye_like": eye_like,
}
