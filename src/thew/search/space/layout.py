"""The layout of a layer's images: C order, channels last, batch innermost."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

LAYOUT = LayerDimension("layout", "implementation", "order of images in memory", lambda way: way.choice.layout)
