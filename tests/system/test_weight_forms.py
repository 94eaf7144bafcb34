"""Weights in other forms than fp32 matrices, from a model to its outputs: int8 under floats, and zeros left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew import nn
from thew.compress import prune, quantize_weights
from thew.errors import InputError
from thew.ir import Graph
from thew.ops.sparsity import sparsity_of
from thew.plan import Choice

RNG = np.random.default_rng(12)


def dense() -> Graph:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 10))
    return model.graph(("n", 8, 16, 16))


def pointwise() -> Graph:
    return nn.Sequential(nn.Conv2d(64, 96, 1), nn.ReLU(), nn.Conv2d(96, 64, 1)).graph((1, 64, 7, 7))


def outputs(model: Any, x: Any, **how: Any) -> Any:
    session = thew.InferenceSession(model, **how)
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    return session, y


def kernels(session: thew.InferenceSession) -> list[str]:
    return [step.kernel for step in session.plan.steps]


def test_integer_weights_keep_floats_and_file_shrinks(tmp_path: Path) -> None:
    graph, x = dense(), RNG.standard_normal((1, 8, 16, 16)).astype(np.float32)
    made = quantize_weights(graph)
    assert len(made.layers) == 2 and not made.kept
    made.save(tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.3 * 4 * 2048 * 512
    session, y = outputs(str(tmp_path / "small.onnx"), x)
    assert sum("widened" in name for name in kernels(session)) >= 1
    exact = graph.replace(
        constants={
            **graph.constants,
            **{
                layer.node.inputs[1]: made.weights[layer.key].encoding.floats(
                    made.weights[layer.key].integers, layer.axis
                )
                for layer in _layers(graph)
            },
        }
    )
    np.testing.assert_allclose(y, outputs(exact, x)[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="must be names of layers"):
        quantize_weights(graph, kept=["nothing"])


def _layers(graph: Graph) -> Any:
    from thew.passes.quantisable import layers, prepare

    return layers(prepare(graph)).values()


@pytest.mark.parametrize("structure", ["2:4", "block"])
def test_zeros_are_left_out(structure: str) -> None:
    graph, x = dense(), RNG.standard_normal((1, 8, 16, 16)).astype(np.float32)
    pruned = prune(graph, 0.75, structure=structure).graph
    session, y = outputs(pruned, x)
    forced = {
        key: Choice(algorithm="matmul.packed")
        for key in session.plan.choices
        if "gemv" in str(session.plan.choices[key])
    }
    wide, wanted = outputs(pruned, x, choices=forced)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    wanted_kernel = "blocks" if structure == "block" else "structured"
    assert wanted_kernel in kernels(session)[0] or "x86_64_v2" in kernels(session)[0]
    assert all("matmul" in name for name in kernels(wide))
    assert not any("blocks" in name or "structured" in name for name in kernels(outputs(graph, x)[0]))


def test_pointwise_convolutions_leave_blocks_out() -> None:
    pruned, x = prune(pointwise(), 0.75, structure="block").graph, RNG.standard_normal((1, 64, 7, 7)).astype(np.float32)
    session, y = outputs(pruned, x)
    wide, wanted = outputs(pruned, x, choices={key: Choice(algorithm="conv.pointwise") for key in session.plan.choices})
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    assert any("gemv_blocks" in name for name in kernels(session))
    assert not any("gemv" in name for name in kernels(wide))


def test_structure_is_found_by_value() -> None:
    weights = RNG.standard_normal((128, 64)).astype(np.float32)
    assert (sparsity_of(weights).blocks, sparsity_of(weights).of_four) == (1.0, 4)
    weights = weights.copy()
    weights[::4] = weights[1::4] = 0
    found = sparsity_of(weights)
    assert (found.blocks, found.of_four) == (0.5, 2)
    assert sparsity_of(np.ascontiguousarray(weights.T)[:, :, None, None]) == found
