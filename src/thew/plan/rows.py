"""`KernelRow`: what the planner knows of a row of the kernel table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A row of the kernel table; the names of the fields are the native ones."""

    name: str
    family: str
    algorithm: str
    a: str
    b: str
    acc: str
    mr: int
    nr: int
    kr: int
    isa: str
