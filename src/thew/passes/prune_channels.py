"""Takes channels out of a graph: weights get smaller along every axis that counts them, and values with them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from thew.ir import Graph
from thew.ir.graph import as_constant
from thew.passes.channels import Channels


def prune_channels(graph: Graph, channels: Channels, removed: Collection[int]) -> Graph:
    """The graph without some classes of channels.

    Args:
        graph: the one that `channels` is of.
        channels: what goes together in it.
        removed: classes, from the families.
    """
    gone = np.asarray(sorted(removed), np.int64)
    constants = dict(graph.constants)
    for use in channels.uses:
        stays = ~np.isin(use.atoms, gone)
        if not stays.all():
            smaller = np.compress(stays, constants[use.constant], axis=use.axis)
            constants[use.constant] = as_constant(np.ascontiguousarray(smaller))
    for name, (place, atoms) in channels.shaped.items():
        target = np.array(constants[name])
        target.reshape(-1)[place] = int((~np.isin(atoms, gone)).sum())
        constants[name] = as_constant(target)
    nodes = []
    for node in graph.nodes:
        own = channels.per_channel.get(node.outputs[0]) if node.outputs else None
        nodes.append(node if own is None else node.with_attributes(group=int((~np.isin(own, gone)).sum())))
    return graph.replace(nodes=tuple(nodes), constants=constants, types={})
