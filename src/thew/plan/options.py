"""`PlanOptions`: which techniques a plan may use. All are on; each can be switched off, to see what it brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from thew.errors import InputError


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Techniques that a plan may use.

    Attributes:
        fusion: epilogues (bias, residual, activation) are computed by the kernel before them, on its tile.
        folding: batch norms become part of the weights before them.
        fitted_blocking: loops are cut to this machine's caches; off, to those of a small generic core.
        layouts: values stay in the layout that suits the whole graph; off, every value lies in C order between steps.
        winograd: convolutions may multiply in Winograd's transformed domain.
        strips: chains of convolutions run depth first, a strip of rows at a time, where what lies between would leave
            the second-level cache.
        memory_planning: buffers whose lives do not overlap share memory; off, every buffer has its own.
    """

    fusion: bool = True
    folding: bool = True
    fitted_blocking: bool = True
    layouts: bool = True
    winograd: bool = True
    strips: bool = True
    memory_planning: bool = True

    @staticmethod
    def without(names: Iterable[str]) -> PlanOptions:
        """All techniques but those named. Raises InputError for a name that is none."""
        known = [field.name for field in fields(PlanOptions)]
        for name in (names := tuple(names)):
            if name not in known:
                raise InputError(f"options: must be among {', '.join(known)}, got {name!r}")
        return PlanOptions(**dict.fromkeys(names, False))

    def __str__(self) -> str:
        off = [field.name for field in fields(self) if not getattr(self, field.name)]
        return "without " + ", ".join(off) if off else "all techniques"


ALL_TECHNIQUES = PlanOptions()
