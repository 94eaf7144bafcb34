"""ResNet (He et al. 2016) with torchvision's names.

ResNet-50 is v1.5: the stride sits in the 3×3 convolution of a bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence

from thew import nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, c, h, w)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up to four times the channels, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, c, h, w)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """A 7×7 stem, four stages of blocks, a global mean and a dense layer."""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], num_classes: int = 1000
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for index, depth in enumerate(depths):
            width, stride = 64 << index, 1 if index == 0 else 2
            self.add_module(f"layer{index + 1}", _stage(block, channels, width, depth, stride))
            channels = width * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, 3, h, w) to logits (n, num_classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(self.avgpool(x).flatten(1))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], channels: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for index in range(depth):
        downsample = None
        if index == 0 and (stride != 1 or channels != width * block.expansion):
            downsample = nn.Sequential(
                nn.Conv2d(channels, width * block.expansion, 1, stride, bias=False),
                nn.BatchNorm2d(width * block.expansion),
            )
        blocks.append(block(channels, width, stride if index == 0 else 1, downsample))
        channels = width * block.expansion
    return nn.Sequential(*blocks)


def resnet18(num_classes: int = 1000, *, seed: int | None = None) -> ResNet:
    """ResNet-18; 11,689,512 parameters."""
    with nn.init.seeded(seed):
        return ResNet(BasicBlock, (2, 2, 2, 2), num_classes)


def resnet34(num_classes: int = 1000, *, seed: int | None = None) -> ResNet:
    """ResNet-34; 21,797,672 parameters."""
    with nn.init.seeded(seed):
        return ResNet(BasicBlock, (3, 4, 6, 3), num_classes)


def resnet50(num_classes: int = 1000, *, seed: int | None = None) -> ResNet:
    """ResNet-50 v1.5; 25,557,032 parameters."""
    with nn.init.seeded(seed):
        return ResNet(Bottleneck, (3, 4, 6, 3), num_classes)
