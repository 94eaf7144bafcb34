"""What makes quantised networks more accurate, each against its definition: equalisation, bias correction, rounding."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import thew
from thew.compress import Calibrator, Method
from thew.compress.correct_bias import correct_bias, mean_errors
from thew.compress.encode import activation_encoding, weight_encoding
from thew.compress.equalise import equalise, pairs
from thew.compress.round_adaptively import round_adaptively, rounded
from thew.errors import InputError
from thew.ir import Graph, GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.quantisable import layers, prepare
from thew.passes.quantise import Weights

RNG = np.random.default_rng(0)


def chain(between: str, bound: float = 6.0) -> Graph:
    """A convolution, a depthwise one and another, with channels of very different weights."""
    builder = GraphBuilder("chain")

    def constant(*shape: int) -> str:
        spread = 2 ** RNG.uniform(-4, 4, (shape[0], *[1] * (len(shape) - 1)))
        return builder.constant((RNG.standard_normal(shape) * spread).astype(np.float32))

    def bounded(x: str) -> str:
        if between == "relu":
            return builder.node("relu", [x])
        low, high = (builder.constant(np.float32(value)) for value in (0, bound))
        return builder.node("clip", [x, low, high]) if between == "clip" else x

    x = builder.input("x", "fp32", ("n", 3, 8, 8))
    y = bounded(builder.node("conv", [x, constant(6, 3, 3, 3), constant(6)], pads=(1, 1, 1, 1)))
    y = bounded(builder.node("conv", [y, constant(6, 1, 3, 3), constant(6)], pads=(1, 1, 1, 1), group=6))
    return prepare(builder.graph([builder.node("conv", [y, constant(4, 6, 1, 1)])]))


X = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)


def highs(graph: Graph, x: Any = X) -> Any:
    def of(names: tuple[str, ...]) -> dict[str, Any]:
        found = evaluate(graph.replace(outputs=names), {"x": x})
        return {name: found[name].max(axis=(0, 2, 3)) for name in names}

    return of


@pytest.mark.parametrize("between", ["", "relu", "clip"])
def test_equalised_networks_compute_the_same(between: str) -> None:
    graph = chain(between)
    assert len(pairs(graph)) == 2
    after = equalise(graph, highs(graph))
    (before,), (got,) = (list(evaluate(g, {"x": X}).values()) for g in (graph, after))
    # Scales round weights once, and sums of 27, 9 and 6 products are taken in another scale: a few roundings.
    np.testing.assert_allclose(got, before, rtol=0, atol=64 * np.finfo(np.float32).eps * np.abs(before).max())


def test_equalised_channels_spread_alike() -> None:
    graph = chain("relu")
    after = equalise(graph, highs(graph))
    for pair in pairs(after):
        first, second = (after.constants[layer.weight] for layer in (pair.first, pair.second))
        spread = np.abs(first).reshape(len(first), -1).max(1)
        taken = np.abs(np.moveaxis(second, pair.input_axis, 0)).reshape(len(first), -1).max(1)
        np.testing.assert_allclose(spread, taken, rtol=0.01)


def test_what_is_read_twice_is_not_equalised() -> None:
    graph = chain("relu")
    (pair, _) = pairs(graph)
    assert len(pairs(graph.replace(outputs=(*graph.outputs, pair.first.result)))) == 1


def test_corrected_biases_leave_no_error_of_the_mean() -> None:
    graph = chain("relu")
    layer = next(iter(layers(graph).values()))
    encoding = weight_encoding(graph, layer, activation_encoding(-3, 3, False), per_channel=False)
    exact = graph.constants[layer.weight]
    own = Weights(encoding.integers(exact), encoding)
    errors = mean_errors(graph, {layer.key: own}, {"x": X}, 2, 1)
    after = correct_bias(graph, errors)
    coarse = {**after.constants, layer.weight: encoding.rounded(exact)}
    (before,) = evaluate(graph.replace(outputs=(layer.key,)), {"x": X}).values()
    (got,) = evaluate(after.replace(outputs=(layer.key,), constants=coarse), {"x": X}).values()
    assert np.abs(errors[layer.key]).max() > 1e-3
    np.testing.assert_allclose(got.mean((0, 2, 3)), before.mean((0, 2, 3)), atol=1e-5 * np.abs(before).max())


def test_layers_without_a_bias_get_one() -> None:
    graph = chain("relu")
    last = list(layers(graph).values())[-1]
    after = correct_bias(graph, {last.key: np.arange(4.0)})
    bias = layers(after)[last.key].bias
    np.testing.assert_array_equal(after.constants[bias], -np.arange(4.0))


def test_rounding_finds_the_least_of_all_roundings() -> None:
    better = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        exact, inputs = random.uniform(-4, 4, (3, 6)), random.standard_normal((40, 6)) @ random.standard_normal((6, 6))
        moments = inputs.T @ inputs
        found = rounded(exact, moments)
        errors = {name: whole - exact for name, whole in (("found", found), ("nearest", np.rint(exact)))}
        cost = {name: np.einsum("ri,ij,rj->r", e, moments, e) for name, e in errors.items()}
        every = [np.floor(exact) + np.array(bits) for bits in product((0, 1), repeat=6)]
        least = np.min([np.einsum("ri,ij,rj->r", whole - exact, moments, whole - exact) for whole in every], axis=0)
        assert (cost["found"] <= cost["nearest"] + 1e-9).all() and (cost["found"] >= least - 1e-9).all()
        assert (np.abs(found - exact) <= 1 + 1e-9).all()
        better += int((cost["found"] < cost["nearest"] - 1e-9).sum())
    assert better > 30  # of 60 rows


@pytest.mark.parametrize("index", [0, 1, 2])
def test_rounded_layers_are_closer(index: int) -> None:
    graph = chain("relu")
    layer = list(layers(graph).values())[index]
    encoding = weight_encoding(graph, layer, activation_encoding(-3, 3, False), per_channel=False)
    exact = graph.constants[layer.weight]
    found = round_adaptively(graph, layer, encoding, {"x": X}, 4, 1)
    assert np.abs(found.integers - exact / float(encoding.scale)).max() <= 1.0 + 1e-5

    def error(weight: Any) -> float:
        outputs = []
        for used in (weight, exact):
            variant = graph.replace(outputs=(layer.key,), constants={**graph.constants, layer.weight: used})
            outputs.append(evaluate(variant, {"x": X})[layer.key])
        return float(np.square(outputs[0] - outputs[1]).sum())

    assert error(found.encoding.floats(found.integers)) <= error(encoding.rounded(exact)) * (1 + 1e-6)


@pytest.mark.parametrize(
    "method",
    [Method(correct_bias=True), Method(rounding="adaptive"), Method("mse", True, False, True, "adaptive")],
    ids=str,
)
def test_whole_networks_take_every_method(method: Method) -> None:
    graph = chain("clip")
    calibrator = Calibrator(graph, X, equalise=True, batch=2)
    models = (graph, calibrator.quantize((), method).graph)
    expected, got = (thew.InferenceSession(model, threads=1).run(None, {"x": X})[0] for model in models)
    assert np.square(got - expected).mean() < 0.02 * expected.var()


def test_an_unknown_rounding() -> None:
    with pytest.raises(InputError, match="nearest, adaptive"):
        Method(rounding="up")
