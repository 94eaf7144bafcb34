"""The blocking of a layer's loops: fitted to this machine's caches by the model, or by what differs from it."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

BLOCKING = LayerDimension(
    "blocking", "implementation", "how loops are cut: fitted to caches, or otherwise", lambda way: way.choice.blocking
)
