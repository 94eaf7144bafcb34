"""SqueezeNet 1.1 (Iandola et al. 2016) with torchvision's names: fire modules, and poolings that round up."""

from __future__ import annotations

from thew import nn
from thew.nn import functional as F


class Fire(nn.Module):
    """1×1 squeeze, then 1×1 and 3×3 expansions side by side."""

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, c, h, w) to (n, 2 expand, h, w)."""
        x = self.squeeze_activation(self.squeeze(x))
        small, large = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return F.concat([small, large], 1)


class SqueezeNet(nn.Module):
    """Eight fire modules; the classifier is a 1×1 convolution and a global mean."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )
        final = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), final, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is final:
                    nn.init.normal_(module.weight, 0.0, 0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.0)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 3, h, w) to logits (n, num_classes)."""
        return self.classifier(self.features(x)).flatten(1)


def squeezenet1_1(num_classes: int = 1000, dropout: float = 0.5, *, seed: int | None = None) -> SqueezeNet:
    """SqueezeNet 1.1; 1,235,496 parameters."""
    with nn.init.seeded(seed):
        return SqueezeNet(num_classes, dropout)
