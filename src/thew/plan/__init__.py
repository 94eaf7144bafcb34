"""From a specialised graph to a `Plan`: candidates, layouts, steps, one arena. A device is known only as a `Target`."""

from thew.plan.build import build_plan, fingerprint
from thew.plan.builder import NoKernel
from thew.plan.choices import Choice, Choices, check_choices, key_of
from thew.plan.cost import BUILT_IN, Cost, Costs
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.plan import Plan
from thew.plan.rows import KernelRow
from thew.plan.states import State, overwritten
from thew.plan.step import Step, View
from thew.plan.survey import Way, step_of, survey
from thew.plan.target import Needs, Target
from thew.plan.within import plan_within

__all__ = [
    "ALL_TECHNIQUES",
    "BUILT_IN",
    "Choice",
    "Choices",
    "Cost",
    "Costs",
    "KernelRow",
    "Needs",
    "NoKernel",
    "Plan",
    "PlanOptions",
    "State",
    "Step",
    "Target",
    "View",
    "Way",
    "build_plan",
    "check_choices",
    "fingerprint",
    "key_of",
    "overwritten",
    "plan_within",
    "step_of",
    "survey",
]
