"""The zoo as a table: name → how to build it, and the shape of one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from thew.errors import UnsupportedError
from thew.models.lenet import lenet5
from thew.models.mobilenetv1 import mobilenet_v1
from thew.models.mobilenetv2 import mobilenet_v2
from thew.models.nature import nature_cnn
from thew.models.resnet import resnet18, resnet34, resnet50
from thew.models.squeezenet import squeezenet1_1
from thew.models.vgg import vgg11, vgg16
from thew.nn import Module


@dataclass(frozen=True)
class Entry:
    """One network: its function, and the (c, h, w) that it is usually run at."""

    build: Callable[..., Module]
    input_shape: tuple[int, int, int]


ZOO: Mapping[str, Entry] = MappingProxyType(
    {
        "lenet5": Entry(lenet5, (1, 28, 28)),
        "mobilenet_v1": Entry(mobilenet_v1, (3, 224, 224)),
        "mobilenet_v2": Entry(mobilenet_v2, (3, 224, 224)),
        "nature_cnn": Entry(nature_cnn, (4, 84, 84)),
        "resnet18": Entry(resnet18, (3, 224, 224)),
        "resnet34": Entry(resnet34, (3, 224, 224)),
        "resnet50": Entry(resnet50, (3, 224, 224)),
        "squeezenet1_1": Entry(squeezenet1_1, (3, 224, 224)),
        "vgg11": Entry(vgg11, (3, 32, 32)),
        "vgg16": Entry(vgg16, (3, 224, 224)),
    }
)


def build(name: str, seed: int | None = None) -> Module:
    """The model of that name with its default arguments. Raises UnsupportedError where there is none."""
    if name not in ZOO:
        raise UnsupportedError(f"model {name!r}: must be one of {', '.join(ZOO)}")
    return ZOO[name].build(seed=seed)
