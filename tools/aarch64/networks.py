"""The networks whose instructions are counted, as files that every engine reads; made on the host.

Each has a folder: model.onnx, int8.onnx (the same on integers, as Thew's quantiser makes it), the forms of peers that
have one of their own, and about.json.
The reference network: input 1×3×56×56, eight convolutions 3×3 (stride 1, padding 1, 32 channels) each with ReLU, a
global average: 205 million multiply-accumulates. The others are of the zoo, with random weights; lenet5_training is a
step of SGD with momentum on a batch of 64, dqn_training a gradient step of an agent of Atari (`agent.py`) on 32
transitions, and nature_cnn its network, whose inference is one action.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from agent import learner

import thew
from thew import ops
from thew.bench.peers import PEERS
from thew.bench.tasks import DQNTask, ModelTask, Task, TrainingTask
from thew.ir import Graph, GraphBuilder, TensorType
from thew.models import ZOO, build
from thew.ops.opdef import Call
from thew.passes.specialise import specialise
from thew.runtime.executable import Executable

TRAINING, BATCH, DQN = "lenet5_training", 64, "dqn_training"
NETWORKS = ("reference", "mobilenet_v2", "resnet50", "nature_cnn", TRAINING, DQN)
PRODUCTS = ("conv", "conv_grad_input", "conv_grad_weight", "gemm", "matmul")
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
    products = [node for node in typed.nodes if node.op in PRODUCTS]
    calls = [Call(node, tuple(typed.type_of(name) for name in node.inputs), ()) for node in products]
    return sum(ops.get(call.node.op).flops(call) for call in calls) // 2


def make_inference(name: str, folder: Path) -> tuple[Task, int]:
    graph, path = graph_of(name), folder / "model.onnx"
    thew.export_onnx(graph, path)
    shapes = {value.name: (value.type.dtype, value.type.static_shape) for value in graph.inputs}
    task = ModelTask(1, 0, str(folder), str(path), shapes)
    for peer in CONVERTED:
        if PEERS[peer].is_installed:
            PEERS[peer].load().prepare(task)
    ((_, shape),) = shapes.values()
    seen = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    thew.export_onnx(thew.quantize(graph, seen).graph, folder / "int8.onnx")
    return task, macs_of(graph)


def make_training(folder: Path) -> tuple[Task, int]:
    graph, path, shape = (
        build("lenet5").graph((1, *ZOO["lenet5"].input_shape)),
        folder / "model.onnx",
        ZOO["lenet5"].input_shape,
    )
    thew.export_onnx(graph, path)
    trainer = thew.Trainer(thew.from_onnx(path), input_shape=shape)
    return TrainingTask(1, 0, str(folder), str(path), (BATCH, *shape)), macs_of_plan(trainer.prepare(BATCH).executable)


def macs_of_plan(executable: Executable) -> int:
    return sum(step.flops for plan in executable.plans for step in plan.steps if step.op in PRODUCTS) // 2


def make_files(name: str, folder: Path) -> dict[str, Any]:
    """Fills the folder, unless that is done; returns what about.json says: the task and the model's products."""
    about = folder / "about.json"
    if about.exists():
        return dict(json.loads(about.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    if name == DQN:
        task, macs = DQNTask(1, 0, str(folder)), macs_of_plan(learner("fp32").executable)
    else:
        task, macs = make_training(folder) if name == TRAINING else make_inference(name, folder)
    said = {"task": task.to_dict(), "model_macs": macs}
    about.write_text(json.dumps(said))
    return said
