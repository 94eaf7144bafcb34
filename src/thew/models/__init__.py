"""The zoo: classic networks as `nn.Module`s, with torchvision's parameter names where torchvision has the network.

Each function makes a fresh model with seeded random weights; `ZOO` lists them all with the input that each is made for.

Example:
    >>> import thew
    >>> model = thew.models.lenet5(seed=0)
    >>> sum(array.size for array in model.parameters())
    61706
"""

from thew.models.lenet import lenet5
from thew.models.mobilenetv1 import mobilenet_v1
from thew.models.mobilenetv2 import mobilenet_v2
from thew.models.nature import nature_cnn
from thew.models.resnet import resnet18, resnet34, resnet50
from thew.models.squeezenet import squeezenet1_1
from thew.models.vgg import vgg11, vgg16
from thew.models.zoo import ZOO, Entry, build

__all__ = [
    "ZOO",
    "Entry",
    "build",
    "lenet5",
    "mobilenet_v1",
    "mobilenet_v2",
    "nature_cnn",
    "resnet18",
    "resnet34",
    "resnet50",
    "squeezenet1_1",
    "vgg11",
    "vgg16",
]
