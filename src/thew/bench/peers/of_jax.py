"""JAX: a training step as one compiled function, weights and velocities donated to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import Task, TrainingTask

VERSION_OF = ("jax", "jaxlib")


def environment(threads: int) -> Mapping[str, str]:
    """XLA's pool has as many threads as the process may use CPUs: with fewer, one is all it is told."""
    single = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    return {"XLA_FLAGS": single, "OMP_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu"}


def prepare(task: Task) -> Ready | None:
    """The step, compiled."""
    if not isinstance(task, TrainingTask):
        return None
    import jax
    import jax.numpy as jnp

    from thew.bench.peers.channels_last_ops import read_network

    network, feeds = read_network(task.path, "jax"), task.feeds()
    kernels = _kernels(jax, jnp)
    x, y = jnp.asarray(feeds["x"].transpose(0, 2, 3, 1)), jnp.asarray(feeds["y"])

    def loss_of(weights: Any) -> Any:
        logits = jax.nn.log_softmax(network(kernels, weights, x))
        return -jnp.take_along_axis(logits, y[:, None], 1).mean()

    def step(weights: Any, velocities: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        velocities = jax.tree.map(lambda v, g: task.momentum * v + g, velocities, gradients)
        return loss, jax.tree.map(lambda w, v: w - 0.0 * v, weights, velocities), velocities

    compiled: Any = jax.jit(step, donate_argnums=(0, 1))
    state = [{name: jnp.asarray(array) for name, array in network.weights.items()}]
    state.append(jax.tree.map(jnp.zeros_like, state[0]))

    def call() -> list[Any]:
        loss, *state[:] = compiled(*state)
        return [np.asarray(loss)]

    return Ready(call, {"jit": True, "layout": "channels_last"})


def _kernels(jax: Any, jnp: Any) -> Any:
    from thew.bench.peers.channels_last_ops import Kernels

    def conv(x: Any, w: Any, strides: Any, pads: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def max_pool(x: Any, window: Any, strides: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, *window, 1), (1, *strides, 1), "VALID")

    return Kernels(
        conv, max_pool, jax.nn.relu, lambda x: x.mean((1, 2), keepdims=True), jnp.transpose, jnp.reshape
    )  # fmt: skip
