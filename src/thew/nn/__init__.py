"""Layers with PyTorch's names and arguments.

A module holds NumPy arrays and, called on a symbolic `Tensor`, builds graph nodes.

Example:
    >>> from thew import nn
    >>> layers = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1176, 10)
    >>> model = nn.Sequential(*layers)
    >>> graph = model.graph(("n", 1, 28, 28))
    >>> sorted(graph.constants)
    ['0.bias', '0.weight', '4.bias', '4.weight']
"""

from thew.nn import functional, init
from thew.nn.activation import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from thew.nn.container import ModuleList, Sequential
from thew.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose2d
from thew.nn.dropout import Dropout
from thew.nn.graph_module import GraphModule
from thew.nn.linear import Embedding, Identity, Linear
from thew.nn.loss import (
    LOSSES,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from thew.nn.module import Module
from thew.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, InstanceNorm2d, LayerNorm, LocalResponseNorm
from thew.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool1d, MaxPool2d, MaxPool3d
from thew.nn.reshape import Flatten, PixelShuffle, Upsample, ZeroPad2d
from thew.nn.tensor import Tensor

__all__ = [
    "ELU",
    "GELU",
    "LOSSES",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GraphModule",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Mish",
    "Module",
    "ModuleList",
    "NLLLoss",
    "PReLU",
    "PixelShuffle",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Tensor",
    "Upsample",
    "ZeroPad2d",
    "functional",
    "init",
]
