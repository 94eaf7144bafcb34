"""What makes a trained network smaller and faster: 8-bit integers, fewer channels; and what that costs in accuracy."""

from thew.compress.post_training import Calibrator, Quantized, quantize

__all__ = ["Calibrator", "Quantized", "quantize"]
