"""The networks whose instructions are counted, as files that every engine reads; made on the host.

The reference network: input 1×3×56×56, eight convolutions 3×3 (stride 1, padding 1, 32 channels) each with ReLU, a
global average: 205 million multiply-accumulates. The others are of the zoo, with random weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import thew
from thew import ops
from thew.bench.peers import PEERS
from thew.bench.tasks import ModelTask
from thew.ir import Graph, GraphBuilder, TensorType
from thew.models import ZOO, build
from thew.ops.opdef import Call
from thew.passes.specialise import specialise

NETWORKS = ("reference", "mobilenet_v2", "resnet50")
CONVERTED = ("ncnn", "mnn", "litert")  # peers with a format of their own, written before they run
SIZE, CHANNELS, LAYERS = 56, 32, 8


def reference_graph() -> Graph:
    builder, random = GraphBuilder("reference"), np.random.default_rng(0)
    y = builder.input("input", "fp32", (1, 3, SIZE, SIZE))
    inputs = 3
    for layer in range(LAYERS):
        scale = np.sqrt(2 / (9 * inputs))
        weight = (random.standard_normal((CHANNELS, inputs, 3, 3)) * scale).astype(np.float32)
        bias = random.standard_normal(CHANNELS).astype(np.float32)
        operands = [y, builder.constant(weight, f"w{layer}"), builder.constant(bias, f"b{layer}")]
        y = builder.node("conv", operands, f"conv{layer}", kernel_shape=(3, 3), pads=(1, 1, 1, 1))
        y = builder.node("relu", [y], f"relu{layer}")
        inputs = CHANNELS
    return builder.graph([builder.node("global_average_pool", [y], "average")])


def graph_of(name: str) -> Graph:
    return reference_graph() if name == "reference" else build(name).graph((1, *ZOO[name].input_shape), name=name)


def macs_of(graph: Graph) -> int:
    """Multiply-accumulates of the convolutions and products."""
    types = {value.name: TensorType(value.type.dtype, value.type.static_shape) for value in graph.inputs}
    typed = specialise(graph, types)
    products = [node for node in typed.nodes if node.op in ("conv", "gemm", "matmul")]
    calls = [Call(node, tuple(typed.type_of(name) for name in node.inputs), ()) for node in products]
    return sum(ops.get(call.node.op).flops(call) for call in calls) // 2


def make_files(name: str, folder: Path) -> dict[str, Any]:
    """Writes model.onnx, the peers' forms of it and about.json into the folder; returns what the last one says."""
    about = folder / "about.json"
    if about.exists():
        return dict(json.loads(about.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    graph, path = graph_of(name), folder / "model.onnx"
    thew.export_onnx(graph, path)
    shapes = {value.name: (value.type.dtype, value.type.static_shape) for value in graph.inputs}
    task = ModelTask(1, 0, str(folder), str(path), shapes)
    for peer in CONVERTED:
        if PEERS[peer].is_installed:
            PEERS[peer].load().prepare(task)
    said = {"task": task.to_dict(), "model_macs": macs_of(graph)}
    about.write_text(json.dumps(said))
    return said
