"""Constants that a program reads in place."""

from __future__ import annotations

import gc

import numpy as np

from thew import InferenceSession
from thew.ir import GraphBuilder


def test_a_constant_that_is_copied_into_c_order_lives_as_long_as_all_its_readers():
    """Broadcast constants have strides of 0; two steps that read one must read the same copy."""
    builder = GraphBuilder("twice")
    x = builder.input("x", "fp32", (4, 5))
    constant = builder.constant(np.broadcast_to(np.float32(3), (4, 5)))
    first = builder.node("mul", [x, constant])
    second = builder.node("mul", [builder.node("exp", [x]), constant])
    graph = builder.graph([first, second])
    session = InferenceSession(graph)
    gc.collect()
    junk = [np.full((4, 5), 9, np.float32) for _ in range(64)]  # takes what was freed
    feeds = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
    one, two = session.run(None, {"x": feeds})
    np.testing.assert_array_equal(one, feeds * 3)
    np.testing.assert_allclose(two, np.exp(feeds) * 3, rtol=1e-6)
    assert len(junk) == 64
