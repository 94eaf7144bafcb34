"""The row of the kernel table: instruction set, types and register tile of what runs a layer."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

ROW = LayerDimension("row", "implementation", "row of the kernel table", lambda way: way.choice.row)
