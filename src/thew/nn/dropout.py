"""Dropout (Srivastava et al. 2014): in a training graph a node that draws, in any other nothing at all."""

from __future__ import annotations

import numpy as np

from thew.errors import InputError
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class Dropout(Module):
    """Zeroes elements with probability `p` while training, and scales the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise InputError(f"{type(self).__name__}: p must be in [0, 1), got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x.op("dropout", np.asarray(self.p, np.float32), np.asarray(True)) if self.training and self.p else x

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}"
