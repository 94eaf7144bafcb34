"""Rewrites of graphs: one a file, each `Graph → Graph` with the same outputs; a pipeline is a tuple of them."""

from thew.passes.pipeline import LOAD, SPECIALISED, Change, Pass, run
from thew.passes.specialise import specialise

__all__ = ["LOAD", "SPECIALISED", "Change", "Pass", "run", "specialise"]
