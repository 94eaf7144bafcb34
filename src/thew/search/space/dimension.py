"""What a dimension of the design space is: a name, a level, and the values that it may have.

Levels are those of the published systems: of the *network* (what is computed, and in which precision), of the
*algorithm* of a layer, and of its *implementation*. Some dimensions are chosen for every layer, by an agent that plays
on measurements; others once for the network, by timing it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thew.plan import PlanOptions
from thew.plan.alternatives import Alternative

LEVELS = ("network", "algorithm", "implementation")


@dataclass(frozen=True)
class Settings:
    """What is chosen once for a network.

    Attributes:
        folding: batch norms are folded into weights.
        fusion: epilogues are fused into the kernels before them.
        depth_first: chains of layers may run strip by strip.
        threads: workers of the plan.
        calibration: how ranges of activations are chosen where layers are quantised.
        half: 16-bit type that layers may compute in; none where it is empty.
        halves: 16-bit types that it may be.
        pruning: what layers lose of their weights; 0 for nothing.
        prunings: levels that it may be, beside none.
        weights: what dense layers hold their weights as.
    """

    folding: bool = True
    fusion: bool = True
    depth_first: bool = True
    threads: int = 1
    calibration: str = "minmax"
    half: str = ""
    halves: tuple[str, ...] = ()
    pruning: float | str = 0.0
    prunings: tuple[float | str, ...] = ()
    weights: str = "fp32"

    @property
    def options(self) -> PlanOptions:
        """The techniques that plans may use."""
        return PlanOptions(
            fusion=self.fusion,
            folding=self.folding,
            strips=self.depth_first,
        )


@dataclass(frozen=True)
class LayerDimension:
    """A dimension of every layer.

    Attributes:
        of: the value that a way to run a layer has.
    """

    name: str
    level: str
    summary: str
    of: Callable[[Alternative], str]

    def values(self, alternatives: Mapping[str, Sequence[Alternative]]) -> tuple[str, ...]:
        """The values that occur in a space, in order."""
        return tuple(dict.fromkeys(self.of(way) for ways in alternatives.values() for way in ways))


@dataclass(frozen=True)
class NetworkDimension:
    """A dimension of the network: a field of `Settings`.

    Attributes:
        values: what is tried; the first is what the planner does by itself.
        needs: what must be there for it to matter: "batch norms", "integers", "dense weights" or nothing.
    """

    name: str
    level: str
    summary: str
    values: Callable[[Settings], tuple[Any, ...]]
    needs: str = ""

    def free(self, settings: Settings, has: Collection[str]) -> tuple[Any, ...]:
        """The values in a space that has these things: one where the dimension does not matter there."""
        values = self.values(settings)
        return values if not self.needs or self.needs in has else values[:1]
