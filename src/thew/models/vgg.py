"""VGG (Simonyan and Zisserman 2015), without batch norm.

`vgg11` is the form for 32×32 pictures (CIFAR): configuration A's convolutions, five poolings down to 1×1 and one dense
layer.
`vgg16` is configuration D for 224×224 with torchvision's names and three dense layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from thew import nn

_A: tuple[int | str, ...] = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
_D: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def start_weights(model: nn.Module) -> None:
    """Kaiming normal by outputs for convolutions, small normal for dense layers, zero biases: torchvision's start."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.constant_(module.bias, 0.0)


class VGG(nn.Module):
    """3×3 convolutions with ReLU, halved by max pooling, and a classifier."""

    def __init__(self, configuration: Sequence[int | str], classifier: nn.Module, pooled: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for item in configuration:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, item, 3, padding=1), nn.ReLU()]
                channels = item
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = classifier
        start_weights(self)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 3, h, w) to logits (n, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def vgg11(num_classes: int = 10, *, seed: int | None = None) -> VGG:
    """VGG11 for 32×32 pictures: eight convolutions and one dense layer; 9,225,610 parameters."""
    with nn.init.seeded(seed):
        return VGG(_A, nn.Linear(512, num_classes), 1)


def vgg16(num_classes: int = 1000, *, seed: int | None = None) -> VGG:
    """VGG16 for 224×224 pictures; 138,357,544 parameters."""
    with nn.init.seeded(seed):
        dense = [nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
        return VGG(_D, nn.Sequential(*dense, nn.Linear(4096, num_classes)), 7)
