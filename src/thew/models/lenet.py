"""LeNet-5 (LeCun et al. 1998) in its common modern form: ReLU, max pooling, 28×28 input padded by 2."""

from __future__ import annotations

from thew import nn
from thew.nn import functional as F


class LeNet5(nn.Module):
    """Two convolutions and three dense layers for (n, 1, 28, 28)."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 1, 28, 28) to logits (n, num_classes)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def lenet5(num_classes: int = 10, *, seed: int | None = None) -> LeNet5:
    """LeNet-5 for 28×28 pictures of one channel; 61,706 parameters."""
    with nn.init.seeded(seed):
        return LeNet5(num_classes)
