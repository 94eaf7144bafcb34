"""The network of Mnih et al. 2015 ("Nature CNN") for stacks of four 84×84 Atari frames, scaled to [0, 1]."""

from __future__ import annotations

from thew import nn


class NatureCNN(nn.Module):
    """Three convolutions and two dense layers; the names are those of CleanRL's `network`."""

    def __init__(self, num_actions: int = 4, in_channels: int = 4) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(in_channels, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512),
            nn.ReLU(),
            nn.Linear(512, num_actions),
        )

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, in_channels, 84, 84) to action values (n, num_actions)."""
        return self.network(x)


def nature_cnn(num_actions: int = 4, in_channels: int = 4, *, seed: int | None = None) -> NatureCNN:
    """Nature CNN; 1,686,180 parameters for four actions."""
    with nn.init.seeded(seed):
        return NatureCNN(num_actions, in_channels)
