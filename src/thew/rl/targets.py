"""Targets and losses as traced tensors: what a target takes for the value of the state behind it, and what a TD error
costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from thew.nn import Module, Tensor

Bootstrap = Callable[[Module, Module, Tensor], Tensor]


def of_actions(values: Tensor, actions: Tensor) -> Tensor:
    """The values (n,) of given actions (n, 1), out of all (n, actions)."""
    is_taken = actions.op("equal", np.arange(int(values.shape[1]))[None])
    return (values * is_taken.op("cast", to=values.dtype)).sum(1)


def maximum(online: Module, target: Module, observation: Tensor) -> Tensor:
    """max over actions of the target network (Mnih et al. 2015)."""
    return target(observation).op("reduce_max", np.array([1]), keepdims=0)


def double(online: Module, target: Module, observation: Tensor) -> Tensor:
    """The target network's value of the online network's best action (van Hasselt et al. 2016)."""
    return of_actions(target(observation), online(observation).op("arg_max", axis=1, keepdims=1))


BOOTSTRAPS: Mapping[bool, Bootstrap] = {False: maximum, True: double}  # by Hyperparameters.double


def huber(errors: Tensor) -> Tensor:
    """d²/2 up to 1, |d| − 1/2 beyond, of |d| (n,): errors clipped as in Mnih et al. 2015."""
    near = errors.op("min", 1.0)
    return near * (errors - near * 0.5)


def squared(errors: Tensor) -> Tensor:
    """d², which heeds rare large errors, such as ends of episodes whose values are large."""
    return errors * errors


LOSSES: Mapping[str, Callable[[Tensor], Tensor]] = {"huber": huber, "mse": squared}  # by Hyperparameters.loss
