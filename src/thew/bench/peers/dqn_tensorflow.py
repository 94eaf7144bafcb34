"""DQN in TensorFlow: a gradient step and a greedy action, each one graph (`tf.function`), with its fused Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from thew.bench.tasks import DQNTask
from thew.ir.graph import Array

_STRIDES = (4, 2, 1)


class Agent:
    """Networks, optimiser and replay, as `thew.bench.peers.dqn_torch.Agent` has them."""

    def __init__(self, task: DQNTask) -> None:
        self._task = task
        given = [_turned(array) for array in task.weights()]
        self._online = [tf.Variable(array) for array in given]
        self._target = [tf.Variable(array) for array in given]
        self._moments = [[tf.Variable(tf.zeros_like(array)) for array in given] for _ in range(2)]
        frames, numbers = task.frames(), np.arange(task.transitions + 1)
        self._stacks = np.stack([frames[np.maximum(numbers - back, 0)] for back in (3, 2, 1, 0)], axis=-1)
        self._actions, self._rewards = task.actions(), task.rewards()
        self._traced: Any = tf.function(self._learn)
        self._greedy: Any = tf.function(lambda stack: tf.argmax(self._values(self._online, stack), axis=1))

    def step(self, slots: Array) -> float:
        """One gradient step on the transitions of these numbers: the loss."""
        before, after = (tf.constant(self._stacks[slots + ahead]) for ahead in (0, 1))
        return float(self._traced(before, after, tf.constant(self._actions[slots]), tf.constant(self._rewards[slots])))

    def act(self, stack: Array) -> int:
        """The best action of one stack of frames (1, 4, 84, 84)."""
        return int(self._greedy(tf.constant(stack.transpose(0, 2, 3, 1)))[0])

    def _values(self, weights: list[Any], stacks: Any) -> Any:
        x = tf.cast(stacks, tf.float32) / 255.0
        for layer, stride in enumerate(_STRIDES):
            w, b = weights[2 * layer : 2 * layer + 2]
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w, stride, "VALID"), b))
        x = tf.nn.relu(tf.reshape(x, (x.shape[0], -1)) @ weights[6] + weights[7])
        return x @ weights[8] + weights[9]

    def _learn(self, before: Any, after: Any, actions: Any, rewards: Any) -> Any:
        targets = rewards + self._task.gamma * tf.reduce_max(self._values(self._target, after), axis=1)
        with tf.GradientTape() as tape:
            values = tf.gather(self._values(self._online, before), actions, batch_dims=1)
            error = tf.abs(values - targets)
            loss = tf.reduce_mean(tf.where(error < 1, error * error / 2, error - 0.5))
        gradients = tape.gradient(loss, self._online)
        for weight, first, second, gradient in zip(self._online, *self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=first.handle, v=second.handle, beta1_power=0.9, beta2_power=0.999,
                lr=self._task.learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, grad=gradient,
            )  # fmt: skip
        return loss


def _turned(array: Array) -> Array:
    """Weights (oc, c, kh, kw) and (out, in) as TensorFlow has them; features are read with channels last."""
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    if array.ndim == 2 and array.shape[1] == 3136:
        array = array.reshape(-1, 64, 7, 7).transpose(0, 2, 3, 1).reshape(-1, 3136)
    return np.ascontiguousarray(array.T)
