"""An agent's gradient step on Atari's network against PyTorch's and TensorFlow's, from the same frames and weights."""

from __future__ import annotations

import numpy as np
import pytest

from thew.bench.peers import of_thew
from thew.bench.study import dqn_pieces, dqn_task

pytest.importorskip("ale_py")


def _torch(task):
    pytest.importorskip("torch")
    from thew.bench.peers.dqn_torch import Agent

    return Agent(task, 4)


def _tensorflow(task):
    pytest.importorskip("tensorflow")
    from thew.bench.peers.dqn_tensorflow import Agent

    return Agent(task)


@pytest.mark.parametrize("agent", [_torch, _tensorflow])
def test_losses_agree(agent, tmp_path):
    """The loss is a mean of errors of 8 values, each a sum over 3,136 features and fewer before."""
    task = dqn_task(dqn_pieces([1], [8])[0], str(tmp_path), 5)
    ours, theirs = of_thew.prepare(task), agent(task)
    assert ours is not None
    for _ in range(2):  # the learning rate is 0
        np.testing.assert_allclose(ours.call(), [[theirs.step(task.slots())]], rtol=1e-3)
