"""What makes a trained network smaller and faster: 8-bit integers, fewer channels; and what that costs in accuracy."""

from thew.compress.post_training import Calibrator, Method, Quantized
from thew.compress.pruning import Pruned, Pruner, prune
from thew.compress.quantisation_aware import FakeQuantized, prepare
from thew.compress.run import Outcome, quantize
from thew.compress.weight_only import quantize_weights

__all__ = [
    "Calibrator",
    "FakeQuantized",
    "Method",
    "Outcome",
    "Pruned",
    "Pruner",
    "Quantized",
    "prepare",
    "prune",
    "quantize",
    "quantize_weights",
]
