"""Networks of shapes that the zoo has none of, for what stands beside the common kernels; weights are seeded.

resnext50_32x4d     narrow groups (Xie et al., "Aggregated residual transformations", 2017)
regnet_400mf        groups of 8 (widths and depths of Radosavovic et al., "Designing network design spaces", 2020)
efficientnet_b0     inverted bottlenecks with SiLU and gates (Tan and Le, "EfficientNet", 2019)
fsrcnn              a transposed 9×9 to one channel (Dong, Loy and Tang 2016, of 56, 12 and 4; three times the size)
volumes             convolutions of 3×3×3
dense_int8, dense_blocks, dense_2_4
                    two dense layers of 4096: weights as integers, three quarters of blocks or half of every four zero
…_int8              all of a network on integers: a QDQ model, calibrated on noise
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from thew import nn
from thew.compress import prune, quantize, quantize_weights
from thew.ir import Graph

_DENSE = 4096


class Grouped(nn.Module):
    """1×1, 3×3 in groups and 1×1 around a shortcut; `width` between them."""

    def __init__(self, inputs: int, width: int, outputs: int, groups: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _unit(inputs, width, 1), _unit(width, width, 3, stride, groups), _unit(width, outputs, 1, relu=False)
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _unit(inputs, outputs, 1, stride, relu=False)
        self.relu = nn.ReLU()

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, inputs, h, w)."""
        return self.relu(self.main(x) + self.shortcut(x))


def _unit(inputs: int, outputs: int, window: int, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, window, stride, window // 2, groups=groups)
    return nn.Sequential(conv, nn.ReLU()) if relu else nn.Sequential(conv)


def _stages(stem: nn.Module, inputs: int, stages: list[tuple[int, int, int, int, int]]) -> nn.Module:
    """A stem, stages of (blocks, width, outputs, groups, stride), a mean and a dense layer."""
    layers = [stem]
    for blocks, width, outputs, groups, stride in stages:
        for index in range(blocks):
            layers.append(Grouped(inputs, width, outputs, groups, stride if index == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def resnext50() -> nn.Module:
    """32 groups, of 4 channels in the first stage."""
    stem = nn.Sequential(_unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
    blocks = (3, 4, 6, 3)
    return _stages(stem, 64, [(n, 128 << i, 256 << i, 32, 1 if i == 0 else 2) for i, n in enumerate(blocks)])


def regnet() -> nn.Module:
    """Widths 48, 104, 208 and 440, all stages at stride 2."""
    widths = zip((1, 3, 6, 6), (48, 104, 208, 440), strict=True)
    return _stages(_unit(3, 32, 3, 2), 32, [(n, width, width, width // 8, 2) for n, width in widths])


class Gated(nn.Module):
    """1×1 that widens, depthwise, a gate of all pixels' mean, and 1×1, around a shortcut where shapes are the same."""

    def __init__(self, inputs: int, outputs: int, expansion: int, window: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        widen = [_activated(inputs, width, 1)] if expansion > 1 else []
        self.features = nn.Sequential(*widen, _activated(width, width, window, stride, width))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), _activated(width, max(inputs // 4, 1), 1),
            nn.Conv2d(max(inputs // 4, 1), width, 1), nn.Sigmoid(),
        )  # fmt: skip
        self.project, self.is_residual = nn.Conv2d(width, outputs, 1), stride == 1 and inputs == outputs

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """(n, inputs, h, w)."""
        features = self.features(x)
        y = self.project(features * self.gate(features))
        return y + x if self.is_residual else y


def _activated(inputs: int, outputs: int, window: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, window, stride, window // 2, groups=groups), nn.SiLU())


def efficientnet_b0() -> nn.Module:
    """Seven stages of (blocks, outputs, expansion, window, stride)."""
    stages = (
        (1, 16, 1, 3, 1), (2, 24, 6, 3, 2), (2, 40, 6, 5, 2), (3, 80, 6, 3, 2), (3, 112, 6, 5, 1), (4, 192, 6, 5, 2),
        (1, 320, 6, 3, 1),
    )  # fmt: skip
    layers, inputs = [_activated(3, 32, 3, 2)], 32
    for blocks, outputs, expansion, window, stride in stages:
        for index in range(blocks):
            layers.append(Gated(inputs, outputs, expansion, window, stride if index == 0 else 1))
            inputs = outputs
    head = (_activated(inputs, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
    return nn.Sequential(*layers, *head)


def fsrcnn() -> nn.Module:
    """Features, shrinking, mapping, expanding, and the transposed convolution."""
    layers: list[nn.Module] = [nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56), nn.Conv2d(56, 12, 1), nn.PReLU(12)]
    for _ in range(4):
        layers += [nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12)]
    layers += [nn.Conv2d(12, 56, 1), nn.PReLU(56), nn.ConvTranspose2d(56, 1, 9, 3, 4, 2)]
    return nn.Sequential(*layers)


def volumes() -> nn.Module:
    """3 to 16, 32 and 32 channels."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 32)):
        layers += [nn.Conv3d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def dense() -> nn.Module:
    """4096 to as many, twice."""
    return nn.Sequential(nn.Linear(_DENSE, _DENSE), nn.ReLU(), nn.Linear(_DENSE, _DENSE))


def _as_it_is(graph: Graph) -> Graph:
    return graph


def _on_integers(graph: Graph) -> Graph:
    samples = np.random.default_rng(0).standard_normal((8, *graph.inputs[0].type.shape[1:]))  # type: ignore[index]
    return quantize(graph, samples.astype(np.float32)).graph


@dataclass(frozen=True)
class Network:
    """How a network is built, the shape of a sample, and what is done to its graph."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    change: Callable[[Graph], Graph] = _as_it_is

    def graph(self, name: str, seed: int, batch: int | str) -> Graph:
        """The network with weights of a seed."""
        with nn.init.seeded(seed):
            return self.change(self.build().graph((batch, *self.shape), name=name))


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "resnext50_32x4d": Network(resnext50, (3, 224, 224)),
        "resnext50_32x4d_int8": Network(resnext50, (3, 224, 224), _on_integers),
        "regnet_400mf": Network(regnet, (3, 224, 224)),
        "regnet_400mf_int8": Network(regnet, (3, 224, 224), _on_integers),
        "efficientnet_b0": Network(efficientnet_b0, (3, 224, 224)),
        "efficientnet_b0_int8": Network(efficientnet_b0, (3, 224, 224), _on_integers),
        "fsrcnn": Network(fsrcnn, (1, 120, 160)),
        "volumes": Network(volumes, (3, 8, 56, 56)),
        "dense_int8": Network(dense, (_DENSE,), lambda graph: quantize_weights(graph).graph),
        "dense_blocks": Network(dense, (_DENSE,), lambda graph: prune(graph, 0.75, structure="block").graph),
        "dense_2_4": Network(dense, (_DENSE,), lambda graph: prune(graph, structure="2:4").graph),
    }
)
