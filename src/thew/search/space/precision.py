"""The precision of a layer: fp32, 16 bits, or 8-bit integers after training; conversions between them are paid for."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

PRECISION = LayerDimension("precision", "network", "element type that is multiplied", lambda way: way.choice.precision)
