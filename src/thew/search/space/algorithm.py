"""The algorithm of a layer: a matrix product of gathered patches, an explicit im2col, Winograd, direct, depthwise …"""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

ALGORITHM = LayerDimension(
    "algorithm", "algorithm", "how a layer is computed: family and algorithm", lambda way: way.choice.algorithm
)
