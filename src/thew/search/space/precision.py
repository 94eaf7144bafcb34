"""The precision of a layer: fp32, or 8-bit integers by post-training quantisation, conversions being paid for."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

PRECISION = LayerDimension("precision", "network", "element type that is multiplied", lambda way: way.choice.precision)
