"""Networks of action values: features for each kind of observation, and a head, plain or dueling.

Vectors: 120 units (CleanRL's). Small images: 16 channels of 3×3 (MinAtar; Young and Tian 2019). Stacks of frames: the
three convolutions of Mnih et al. 2015. The head has a hidden layer of 84, 128 or 512 units.
"""

from __future__ import annotations

import numpy as np

from thew import nn
from thew.errors import UnsupportedError
from thew.rl.observation import Observation


class Dueling(nn.Module):
    """Values from two streams, of the state and of each action's advantage (Wang et al. 2016)."""

    def __init__(self, features: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.value = plain(features, hidden, 1)
        self.advantage = plain(features, hidden, actions)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """value + advantage − mean of the advantages."""
        advantage = self.advantage(x)
        return self.value(x) + (advantage - advantage.mean(1, keepdim=True))


def plain(features: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class QNetwork(nn.Module):
    """Values of all actions, for observations as they are stored."""

    def __init__(self, observation: Observation, actions: int, dueling: bool = False) -> None:
        super().__init__()
        self.observation = observation
        layers, features, hidden = _features(observation.shape)
        self.features = nn.Sequential(*layers)
        self.head = (Dueling if dueling else plain)(features, hidden, actions)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, …) in the observation's dtype to (n, actions)."""
        if x.dtype == "uint8":
            x = x.op("dequantize_linear", x.trace.constant(np.asarray(1 / self.observation.largest, np.float32)))
        if x.dtype != x.trace.dtype:
            x = x.op("cast", to=x.trace.dtype)
        return self.head(self.features(x))


def _features(shape: tuple[int, ...]) -> tuple[list[nn.Module], int, int]:
    """The layers, how many numbers they give, and the units of the head's hidden layer."""
    if len(shape) == 1:
        return [nn.Linear(shape[0], 120), nn.ReLU()], 120, 84
    channels, height, width = shape
    if min(height, width) >= 36:
        layers: list[nn.Module] = []
        for out, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            layers += [nn.Conv2d(channels, out, kernel, stride=stride), nn.ReLU()]
            channels = out
            height, width = ((extent - kernel) // stride + 1 for extent in (height, width))
        return [*layers, nn.Flatten()], channels * height * width, 512
    if min(height, width) < 3:
        raise UnsupportedError(f"observation: an image must be at least 3×3, got {shape}")
    return [nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten()], 16 * (height - 2) * (width - 2), 128
