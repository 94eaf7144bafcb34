"""MobileNetV2 (Sandler et al. 2018) with torchvision's names: inverted residuals whose narrow ends are linear."""

from __future__ import annotations

from thew import nn

# expansion, channels, repeats, stride of the first
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _rounded(channels: float) -> int:
    """To a multiple of 8, and never more than 10 % down."""
    result = max(8, int(channels + 4) // 8 * 8)
    return result + 8 if result < 0.9 * channels else result


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(),
        )


class InvertedResidual(nn.Module):
    """1×1 up, 3×3 depthwise, 1×1 down, and a shortcut where the shapes agree."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = [ConvNorm(in_channels, hidden, 1)] if expansion != 1 else []
        layers += [ConvNorm(hidden, hidden, 3, stride, groups=hidden)]
        layers += [nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and in_channels == channels

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, c, h, w)."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Stem, seventeen inverted residuals, a 1×1 convolution, a global mean and a dense layer."""

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        channels, last = _rounded(32 * width_mult), _rounded(1280 * max(1.0, width_mult))
        features: list[nn.Module] = [ConvNorm(3, channels, stride=2)]
        for expansion, width, repeats, stride in _STAGES:
            out = _rounded(width * width_mult)
            for index in range(repeats):
                features.append(InvertedResidual(channels, out, stride if index == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*features, ConvNorm(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.0)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 3, h, w) to logits (n, num_classes)."""
        x = self.features(x)
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def mobilenet_v2(
    num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, *, seed: int | None = None
) -> MobileNetV2:
    """MobileNetV2; 3,504,872 parameters at full width."""
    with nn.init.seeded(seed):
        return MobileNetV2(num_classes, width_mult, dropout)
