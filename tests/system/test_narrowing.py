"""Mixed precision by cost: which layers are stored in 16 bits on a device, told by its rows and rates alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thew import nn, optim
from thew.ir import TensorType
from thew.plan import BUILT_IN
from thew.runtime.device import target
from thew.runtime.executable import Settings
from thew.runtime.native import kernel_table
from thew.train.engine import Engine
from thew.train.precision import precision_of


def device(*isas):
    """One core of some instruction sets, best first, by the built-in rates: choosing for it needs no such core."""
    here = target(1)
    fields = here.rows[0].__dataclass_fields__
    rows = tuple(type(here.rows[0])(**{name: row[name] for name in fields}) for row in kernel_table())
    return replace(here, device=isas[0], isas=isas, rows=tuple(row for row in rows if row.isa in isas), costs=BUILT_IN)


def products(model, shape, precision, on):
    """The dtypes of the products of a training step's graph, by layer."""
    loss, how = nn.loss.loss_of("cross_entropy"), precision_of(precision)
    engine = Engine(model, loss, optim.SGD(lr=0.1), how, Settings(on), 0)
    graph = engine.step(TensorType(how.wide, shape), TensorType("int64", shape[:1])).graph
    return {node.name: graph.type_of(node.inputs[0]).dtype for node in graph.nodes if node.op in ("conv", "gemm")}


def convolutions(kernel):
    return nn.Sequential(nn.Conv2d(64, 64, kernel), nn.ReLU(), nn.Conv2d(64, 64, kernel), nn.ReLU(), nn.Flatten())


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_layers_that_only_wider_kernels_run_well_stay_wide(half):
    """On AVX2 nothing multiplies 16 bits. Winograd's algorithm for 3×3 windows runs on memory of either type, that for
    2×2 windows on fp32 and fp64 alone, and would cost twice the products.
    """
    for kernel, wanted in ((3, half), (2, "fp32")):
        found = products(convolutions(kernel), (32, 64, 24, 24), f"mixed-{half}", device("avx2"))
        assert found["2"] == wanted


def test_layers_are_narrow_where_16_bits_are_multiplied_faster():
    found = products(convolutions(2), (32, 64, 24, 24), "mixed-bf16", device("amx", "avx512"))
    assert set(found.values()) == {"bf16"}


def test_products_below_fp64_weights_are_never_in_fp64():
    """They are in fp32 where 16 bits cost time: here the weights are most of what is touched."""
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    assert set(products(model, (4, 256), "mixed-fp64-fp16", device("avx2")).values()) == {"fp32"}
