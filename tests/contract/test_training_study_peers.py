"""Steps of the study's peers against Thew's: the same loss, from the same weights and batch."""

from __future__ import annotations

import numpy as np
import pytest

from thew.bench.peers import PEERS, of_thew
from thew.bench.study import training_pieces, training_task


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lenet5", "vgg11"])
@pytest.mark.parametrize("name", ["torch", "jax", "tensorflow"])
def test_losses_agree(name, model, tmp_path):
    """A mean of a few logarithms over logits that are sums of some thousand products each."""
    if not PEERS[name].is_installed:
        pytest.skip(f"needs {name}")
    piece = next(piece for piece in training_pieces([1], [2]) if piece.model == model)
    task = training_task(piece, str(tmp_path), 5)
    ours, theirs = of_thew.prepare(task), PEERS[name].load().prepare(task)
    assert ours is not None
    for _ in range(2):  # the learning rate is 0
        np.testing.assert_allclose(theirs.call(), ours.call(), rtol=1e-4)
