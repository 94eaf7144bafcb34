"""Golden: which kernel serves which op and shape on which instruction set, and what the zoo's plans come to.

The file beside this one is the expectation; `python tests/selection/test_selection.py` writes it anew, and the diff is
to be read. Kernels are asked nothing here (no needs), so the outcome is the same on every machine of an architecture.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.ir import Graph, GraphBuilder
from thew.passes import pipeline
from thew.plan import KernelRow, Needs, Plan, PlanOptions, Target, build_plan
from thew.runtime.executable import prepare_graph
from thew.runtime.native import kernel_table

GOLDEN = Path(__file__).with_name("golden.json")
ROWS = tuple(KernelRow(**{name: row[name] for name in KernelRow.__dataclass_fields__}) for row in kernel_table())
ISAS = tuple(dict.fromkeys(row.isa for row in ROWS if row.a == "fp32"))
CONVOLUTIONS = {  # x, weight, attributes
    "stem 7×7/2 of 3 channels": ((1, 3, 224, 224), (64, 3, 7, 7), {"strides": (2, 2), "pads": (3, 3, 3, 3)}),
    "3×3 of 64 channels": ((1, 64, 56, 56), (64, 64, 3, 3), {"pads": (1, 1, 1, 1)}),
    "1×1": ((1, 256, 14, 14), (1024, 256, 1, 1), {}),
    "1×1/2": ((1, 256, 56, 56), (512, 256, 1, 1), {"strides": (2, 2)}),
    "depthwise 3×3": ((1, 96, 56, 56), (96, 1, 3, 3), {"group": 96, "pads": (1, 1, 1, 1)}),
    "32 groups": ((1, 128, 28, 28), (128, 4, 3, 3), {"group": 32, "pads": (1, 1, 1, 1)}),
    "dilated": ((1, 32, 28, 28), (32, 32, 3, 3), {"dilations": (2, 2)}),
    "1-d": ((4, 16, 100), (32, 16, 5), {}),
}
NETWORKS = {
    "lenet5": (1, 28, 28),
    "resnet18": (3, 224, 224),
    "resnet50": (3, 224, 224),
    "mobilenet_v2": (3, 224, 224),
    "squeezenet1_1": (3, 224, 224),
}


def target(isa: str) -> Target:
    """A CPU that has this instruction set and none better."""
    rows = tuple(row for row in ROWS if row.isa == isa)
    return Target(f"golden/{isa}", (isa,), 1, rows, lambda step: Needs(0, 0, (False,) * len(step.inputs)))


def plan_of(graph: Graph, isa: str) -> Plan:
    prepared = prepare_graph(graph, {value.name: value.type for value in graph.inputs})
    return build_plan(prepared, target(isa), PlanOptions(strips=False))  # which are the device's to accept


def convolution(x: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, Any]) -> Graph:
    builder = GraphBuilder("convolution")
    inputs = [builder.input("x", "fp32", x), builder.constant(np.ones(weight, np.float32))]
    return builder.graph([builder.node("conv", inputs, "y", **attributes)])


def selection(isa: str) -> dict[str, Any]:
    """What the golden file holds for one instruction set."""
    kernels = {
        name: [step.kernel for step in plan_of(convolution(*case), isa).steps] for name, case in CONVOLUTIONS.items()
    }
    networks = {}
    for name, shape in NETWORKS.items():
        model = getattr(thew.models, name)()
        plan = plan_of(pipeline.run(model.graph((1, *shape)), pipeline.LOAD), isa)
        counts = Counter(step.kernel for step in plan.steps)
        networks[name] = {"arena_bytes": plan.arena_bytes, "kernels": dict(sorted(counts.items()))}
    return {"convolutions": kernels, "networks": networks}


@pytest.mark.parametrize("isa", ISAS)
def test_as_golden(isa: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    if isa not in golden:
        pytest.skip(f"golden.json was never written on a machine with {isa}")
    assert selection(isa) == golden[isa], "read the change with `python tests/selection/test_selection.py && git diff`"


if __name__ == "__main__":
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    known.update({isa: selection(isa) for isa in ISAS})
    GOLDEN.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
