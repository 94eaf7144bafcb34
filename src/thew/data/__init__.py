"""Data sets of pictures: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and folders, with augmentation.

Files are looked for in the folder that the variable THEW_DATA names, else in ``~/.cache/thew``, and downloaded there
once, with their checksums.

Example:
    >>> from thew import data
    >>> train, test = data.load("mnist")
    >>> trainer.fit(train, epochs=2, validation=test)
"""

from thew.data.augment import cutout, flip, random_crop
from thew.data.folder import ImageFolder
from thew.data.images import Images, Preparation
from thew.data.sets import SETS, load

__all__ = ["SETS", "ImageFolder", "Images", "Preparation", "cutout", "flip", "load", "random_crop"]
