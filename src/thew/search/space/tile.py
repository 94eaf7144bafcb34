"""The register tile of a layer's kernel: rows × columns × depth of what one step of its inner loop holds."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

TILE = LayerDimension("tile", "implementation", "register tile", lambda way: f"{way.row.mr}x{way.row.nr}x{way.row.kr}")
