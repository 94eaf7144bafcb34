"""From a specialised graph to a `Plan`: candidates, layouts, steps, one arena. A device is known only as a `Target`."""

from thew.plan.build import build_plan, fingerprint
from thew.plan.builder import NoKernel
from thew.plan.choices import Choice, Choices, check_choices, key_of
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.plan import Plan, Step, View
from thew.plan.states import State, overwritten
from thew.plan.target import KernelRow, Needs, Target

__all__ = [
    "ALL_TECHNIQUES",
    "Choice",
    "Choices",
    "KernelRow",
    "Needs",
    "NoKernel",
    "Plan",
    "PlanOptions",
    "State",
    "Step",
    "Target",
    "View",
    "build_plan",
    "check_choices",
    "fingerprint",
    "key_of",
    "overwritten",
]
