"""Every move row against NumPy: copies between all memory layouts, transposes with tails, fill, gather, pad, resize."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, INTEGERS, LAYOUTS, SHAPES, layout_pairs, native, placed, random, rows

from thew.errors import InputError, PlanError
from thew.ops import get

# One dtype for each size of element; the others run the same kernels.
BY_SIZE = rows("move", "int64", "fp32", "bf16", "uint8")


def _copy(row: Any, source: Any, out: Any, threads: int = 1) -> None:
    native.run_kernel(row.name, "copy", [source], [out], threads=threads)


@pytest.mark.parametrize("row", rows("move"))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_copies_between_layouts(row: Any, shape: tuple[int, ...]) -> None:
    x = random(row.a, shape)
    for source, destination in layout_pairs():
        out = LAYOUTS[destination](shape, x.dtype)
        _copy(row, placed(x, source), out)
        assert out.tobytes() == x.tobytes(), (source, destination)


@pytest.mark.parametrize("row", BY_SIZE)
@pytest.mark.parametrize(
    "shape", [(5, 7), (16, 16), (64, 33), (19, 130), (3, 200), (2, 66, 5), (2, 3, 20, 37), (1, 40, 9, 9)], ids=str
)
def test_transposes(row: Any, shape: tuple[int, ...]) -> None:
    x = random(row.a, shape)
    for order in permutations(range(len(shape))):
        source = x.transpose(order)
        for threads in (1, 3):
            out = np.empty(source.shape, x.dtype)
            _copy(row, source, out, threads)
            assert out.tobytes() == source.tobytes(), order
        part = LAYOUTS["part"](source.shape, x.dtype)
        _copy(row, source, part)
        assert part.tobytes() == source.tobytes(), order


@pytest.mark.parametrize("row", BY_SIZE)
def test_large_transposes_are_shared(row: Any) -> None:
    x = random(row.a, (2, 70, 61, 67))
    out = np.empty((2, 61, 67, 70), x.dtype)
    _copy(row, x.transpose(0, 2, 3, 1), out, threads=3)
    assert out.tobytes() == x.transpose(0, 2, 3, 1).tobytes()


@pytest.mark.parametrize("row", BY_SIZE)
def test_broadcasts_and_slices(row: Any) -> None:
    x = random(row.a, (4, 1, 9))
    out = np.empty((4, 6, 9), x.dtype)
    _copy(row, np.broadcast_to(x, out.shape), out)
    assert out.tobytes() == np.broadcast_to(x, out.shape).tobytes()
    x = random(row.a, (8, 12, 30))
    for source in (x[::2, 1:11:3], x[::-1, :, ::-2], x[:, 5:6, 3:], x[3:3]):
        out = np.empty(source.shape, x.dtype)
        _copy(row, source, out)
        assert out.tobytes() == source.tobytes()


@pytest.mark.parametrize("row", rows("move"))
@pytest.mark.parametrize("value", [0.0, 1.0, 7, 2.5])
def test_fill(row: Any, value: float) -> None:
    for shape in SHAPES:
        for layout in LAYOUTS:
            out = LAYOUTS[layout](shape, DTYPES[row.a])
            native.run_kernel(row.name, "fill", [], [out], {"value": value})
            assert np.all(out == np.array(value).astype(DTYPES[row.a]))


@pytest.mark.parametrize("row", rows("move", "int64", "fp32"))
def test_fill_of_large_integers_and_special_values(row: Any) -> None:
    out = np.empty(5, DTYPES[row.a])
    value = 2**62 + 1 if row.a == "int64" else float("-inf")
    native.run_kernel(row.name, "fill", [], [out], {"value": value})
    assert np.all(out == value)


@pytest.mark.parametrize("row", rows("move"))
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_gather(row: Any, kind: str) -> None:
    rng = np.random.default_rng(1)
    for shape in ((9,), (4, 37), (3, 5, 20), (2, 3, 4, 600)):
        x = random(row.a, shape)
        for axis in range(len(shape)):
            extent = shape[axis]
            for form in ((), (1,), (13,), (2, 3), (0,), (2, 1, 4)):
                indices = rng.integers(-extent, extent, form).astype(DTYPES[kind])
                expected = np.take(x, indices, axis)
                for layout in ("plain", "channels_last", "reversed"):
                    out = LAYOUTS[layout](expected.shape, x.dtype)
                    given = axis if axis % 2 else axis - len(shape)
                    sources = [placed(x, layout), placed(indices, layout)]
                    native.run_kernel(row.name, "gather", sources, [out], {"axis": given})
                    assert out.tobytes() == expected.tobytes(), (shape, axis, form, layout)


@pytest.mark.parametrize("row", rows("move", "fp32"))
@pytest.mark.parametrize("index", [5, -6, 2**40])
def test_gather_out_of_range_is_refused(row: Any, index: int) -> None:
    x, out = random("fp32", (5, 3)), np.zeros((2, 3), np.float32)
    with pytest.raises(InputError, match=r"indices must be within \[-5, 4\]"):
        native.run_kernel(row.name, "gather", [x, np.array([0, index])], [out], {"axis": 0})
    assert not out.any()


@pytest.mark.parametrize("row", rows("move"))
@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_pad(row: Any, mode: str) -> None:
    for shape, pads in (
        ((5,), (2, 3)),
        ((4, 6), (0, 7, 1, 0)),
        ((2, 3, 5, 6), (0, 0, 2, 1, 0, 0, 3, 2)),
        ((2, 3, 5, 6), (0, 0, -1, 1, 0, 0, 3, -2)),
        ((3, 1, 4), (0, 2, 0, 0, 1, 0)),
        ((2, 5), (0, 0, 0, 0)),
    ):
        x = random(row.a, shape)
        given = np.array(pads)
        expected = get("pad").reference({"mode": mode}, x, given, None, None)[0]
        if min(pads) >= 0:
            width = np.reshape(pads, (2, -1)).T
            assert expected.tobytes() == np.pad(x.view(np.uint8) if x.itemsize == 1 else x, width, mode).tobytes()
        for layout in ("plain", "channels_last", "part"):
            out = LAYOUTS[layout](expected.shape, x.dtype)
            native.run_kernel(row.name, "pad", [placed(x, layout), given], [out], {"mode": mode}, constants=(1,))
            assert out.tobytes() == expected.tobytes(), (shape, pads, layout)


RESIZES: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = (
    ((1, 3, 6, 7), (1, 1, 2, 2)), ((1, 2, 9, 8), (1, 1, 0.6, 1.7)), ((2, 17, 4, 5), (1, 1, 2.5, 0.4)), ((11,), (0.5,)),
    ((1, 1, 2, 4), (1, 1, 0.5, 0.25)), ((1, 3, 5, 5), (1, 1, 1, 1)), ((1, 2, 3, 2), (1, 1, 3, 8)),
)  # fmt: skip


@pytest.mark.parametrize("row", rows("move", "fp64", "fp32", "uint8"))
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
def test_resize(row: Any, mode: str, coordinates: str) -> None:
    if row.a in INTEGERS and mode != "nearest":
        pytest.skip("integers resize to the nearest only")
    op = get("resize")
    variants: list[dict[str, Any]] = [{}]
    if mode == "nearest":
        variants = [{"nearest_mode": each} for each in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")]
    else:
        variants += [{"antialias": 1}, {"exclude_outside": 1}, {"cubic_coeff_a": -0.5}]
    for variant in variants:
        attributes = {**op.attributes, "mode": mode, "coordinate_transformation_mode": coordinates, **variant}
        step = {name: value for name, value in attributes.items() if value != ()}
        for shape, scales in RESIZES:
            x = random(row.a, shape)
            given = np.array(scales, np.float32)
            expected = op.reference(attributes, x, None, given)[0]
            for layout in ("plain", "channels_last"):
                out = LAYOUTS[layout](expected.shape, x.dtype)
                sources = [placed(x, layout), None, given]
                native.run_kernel(row.name, "resize", sources, [out], step, constants=(2,))
                _check_resized(out, expected, x, mode)


def _check_resized(out: Any, expected: Any, x: Any, mode: str) -> None:
    if mode == "nearest":
        assert np.array_equal(out, expected)
        return
    # Two passes of sums of at most 16 taps whose weights sum, in size, to at most 2 each; weights are rounded too.
    eps = np.finfo(x.dtype).eps
    np.testing.assert_allclose(out, expected, rtol=0, atol=2 * 16 * 4 * eps * np.abs(x).max())


@pytest.mark.parametrize("row", rows("move", "fp32"))
@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_resize_by_sizes(row: Any, policy: str) -> None:
    op = get("resize")
    x, sizes = random("fp32", (1, 5, 6, 9)), np.array([11, 12])
    attributes = {**op.attributes, "mode": "linear", "axes": (2, 3), "keep_aspect_ratio_policy": policy}
    expected = op.reference(attributes, x, None, None, sizes)[0]
    out = np.empty(expected.shape, np.float32)
    native.run_kernel(row.name, "resize", [x, None, None, sizes], [out], attributes, constants=(3,))
    _check_resized(out, expected, x, "linear")


@pytest.mark.parametrize("row", rows("move", "fp32"))
def test_what_cannot_run_is_refused(row: Any) -> None:
    x, out = random("fp32", (2, 3)), np.zeros((2, 4), np.float32)
    with pytest.raises(PlanError, match="broadcast"):
        _copy(row, x, out)
    with pytest.raises(PlanError, match="constant"):
        native.run_kernel(row.name, "pad", [x, np.array([0, 0, 0, 1])], [out], {"mode": "edge"})
    with pytest.raises(PlanError, match="extent"):
        native.run_kernel(row.name, "pad", [x, np.array([0, 0, 0, 2])], [out], {"mode": "edge"}, constants=(1,))
    with pytest.raises(PlanError, match="mode"):
        native.run_kernel(
            row.name, "resize", [x, None, np.ones(2, np.float32)], [out], {"mode": "magic"}, constants=(2,)
        )
