"""From a specialised graph to a `Plan`: candidates, layouts, steps, one arena. A device is known only as a `Target`."""

from thew.plan.build import build_plan, fingerprint
from thew.plan.builder import NoKernel
from thew.plan.plan import Plan, Step, View
from thew.plan.target import KernelRow, Needs, Target

__all__ = ["KernelRow", "Needs", "NoKernel", "Plan", "Step", "Target", "View", "build_plan", "fingerprint"]
