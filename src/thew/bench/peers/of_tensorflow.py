"""TensorFlow: a training step as one graph (`tf.function`), and so a gradient step and an action of DQN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import DQNTask, Task, TrainingTask

VERSION_OF = ("tensorflow",)


def environment(threads: int) -> Mapping[str, str]:
    """Quiet, and oneDNN's threads."""
    return {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}


def prepare(task: Task) -> Ready | None:
    """The step, traced."""
    if not isinstance(task, TrainingTask | DQNTask):
        return None
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return _dqn(task) if isinstance(task, DQNTask) else _training(tf, task)


def _dqn(task: DQNTask) -> Ready | None:
    """CleanRL's agent, where no environment takes part."""
    from thew.bench.peers.dqn_tensorflow import Agent

    if task.work == "environment":
        return None
    agent, settings = Agent(task), {"graph": True, "layout": "channels_last", "optimizer": "Adam, fused"}
    if task.work == "act":
        seen = task.feeds()["observation"]
        return Ready(lambda: [np.array([agent.act(seen)])], settings)
    slots = task.slots()
    return Ready(lambda: [np.array([agent.step(slots)])], settings)


def _training(tf: Any, task: TrainingTask) -> Ready:
    from thew.bench.peers.channels_last_ops import Kernels, read_network

    network, feeds = read_network(task.path, "tensorflow"), task.feeds()
    weights = {name: tf.Variable(array) for name, array in network.weights.items()}
    velocities = [tf.Variable(tf.zeros_like(weight)) for weight in weights.values()]
    x, y = tf.constant(feeds["x"].transpose(0, 2, 3, 1).copy()), tf.constant(feeds["y"])

    def conv(x: Any, w: Any, strides: Any, pads: Any) -> Any:
        return tf.nn.conv2d(x, w, strides, [(0, 0), *pads, (0, 0)])

    kernels = Kernels(
        conv, lambda x, window, strides: tf.nn.max_pool2d(x, window, strides, "VALID"), tf.nn.relu,
        lambda x: tf.reduce_mean(x, (1, 2), keepdims=True), tf.transpose, tf.reshape,
    )  # fmt: skip

    def step() -> Any:
        with tf.GradientTape() as tape:
            logits = network(kernels, weights, x)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        for weight, velocity, gradient in zip(
            weights.values(), velocities, tape.gradient(loss, list(weights.values())), strict=True
        ):
            velocity.assign(task.momentum * velocity + gradient)
            weight.assign_sub(0.0 * velocity)
        return loss

    traced: Any = tf.function(step)
    return Ready(lambda: [traced().numpy()], {"graph": True, "layout": "channels_last"})
