"""MobileNetV1 (Howard et al. 2017): 3×3 depthwise and 1×1 convolutions in turn, each with batch norm and ReLU6."""

from __future__ import annotations

from thew import nn

# channels, stride
_LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def _conv_norm(in_channels: int, channels: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    ]


class MobileNetV1(nn.Module):
    """`features` are the stem and thirteen separable convolutions, `classifier` is dense."""

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0) -> None:
        super().__init__()
        channels = int(32 * width_mult)
        blocks = [nn.Sequential(*_conv_norm(3, channels, 3, 2))]
        for width, stride in _LAYERS:
            out = int(width * width_mult)
            blocks.append(
                nn.Sequential(
                    *_conv_norm(channels, channels, 3, stride, groups=channels), *_conv_norm(channels, out, 1, 1)
                )
            )
            channels = out
        self.features = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 3, h, w) to logits (n, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def mobilenet_v1(num_classes: int = 1000, width_mult: float = 1.0, *, seed: int | None = None) -> MobileNetV1:
    """MobileNetV1; 4,231,976 parameters at full width."""
    with nn.init.seeded(seed):
        return MobileNetV1(num_classes, width_mult)
