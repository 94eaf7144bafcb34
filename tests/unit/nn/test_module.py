"""Modules: names, state, tracing."""

from __future__ import annotations

import numpy as np
import pytest

from thew import nn
from thew.errors import InputError, ModelError, ShapeError
from thew.ops.interpret import evaluate


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.bn1(self.conv1(x)) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(Block(), Block())
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.layer1(x).mean((2, 3)))


def test_names_are_pytorchs():
    assert list(Net().state_dict())[:6] == [
        "layer1.0.conv1.weight",
        "layer1.0.bn1.weight",
        "layer1.0.bn1.bias",
        "layer1.0.bn1.running_mean",
        "layer1.0.bn1.running_var",
        "layer1.0.bn1.num_batches_tracked",
    ]
    assert [name for name, _ in Net().named_parameters()][-3:] == ["layer1.1.bn1.bias", "fc.weight", "fc.bias"]
    assert "layer1.1.bn1.running_var" in dict(Net().named_buffers())


def test_constants_and_nodes_are_named_after_the_modules():
    graph = Net().graph(("n", 4, 5, 5))
    assert set(dict(Net().named_parameters())) <= set(graph.constants)
    names = [node.name for node in graph.nodes]
    assert names[:4] == ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.add", "layer1.0.relu"]
    assert graph.inputs[0].name == "input"
    assert graph.outputs == ("output",)
    assert str(graph.type_of("output")) == "fp32[n,2]"
    assert str(graph.type_of("layer1.0.relu")) == "fp32[n,4,5,5]"


def test_symbolic_sizes_are_followed_through_strides():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
    first, second = (model.graph(("n", 3, "h", "w")).type_of(name).shape for name in ("0", "output"))
    assert first[:2] == ("n", 4)
    assert len({"n", "h", "w", first[2], first[3], second[2], second[3]}) == 7


def test_graph_shares_parameters_and_keeps_the_flags():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    model[0].training = False
    graph = model.graph((1, 3))
    assert np.shares_memory(graph.constants["0.weight"], model[0].weight)
    assert not graph.constants["0.weight"].flags.writeable
    assert [module.training for module in model.modules()] == [True, False, True]
    assert not model.eval().training
    assert model.train()[0].training


def test_shared_parameters_are_one_constant():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["a.weight"]
    assert list(model.graph((1, 3)).constants) == ["a.weight"]


def test_a_module_used_twice_gives_distinct_nodes():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.fc(x))

    graph = Twice().graph((1, 3))
    assert [node.name for node in graph.nodes] == ["fc", "fc_1"]
    assert sorted(graph.constants) == ["fc.bias", "fc.weight"]


def test_state_dict_round_trip():
    one, other = Net(), Net()
    assert other.load_state_dict(one.state_dict()) == ([], [])
    assert all(
        np.array_equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert not np.shares_memory(one.fc.weight, other.fc.weight)


def test_load_state_dict_refuses_what_does_not_fit():
    model = Net()
    state = dict(model.state_dict())
    weight = state.pop("fc.weight")
    with pytest.raises(ModelError, match=r"missing: fc\.weight"):
        model.load_state_dict(state)
    assert model.load_state_dict({**state, "extra": weight}, strict=False) == (["fc.weight"], ["extra"])
    before = model.fc.bias.copy()
    with pytest.raises(ShapeError, match=r"'fc\.weight': shape must be \(2, 4\), got \(4, 2\)"):
        model.load_state_dict({**state, "fc.bias": before + 1, "fc.weight": weight.T})
    np.testing.assert_array_equal(model.fc.bias, before)  # all or nothing


def test_operators():
    class Arithmetic(nn.Module):
        def forward(self, x, y):
            halves = nn.functional.concat([x, y], 1).chunk(2, 1)
            z = (1 - halves[0]) * 2 / (y * y + 1) - -x + np.float64(3) ** 1
            return z.reshape(0, -1) @ np.eye(6), (x**2.0).transpose(1, 2).permute(0, 2, 1), 1 / (x * x + 1), x.sum(1)

    x, y = np.random.default_rng(0).standard_normal((2, 2, 3, 2))
    graph = Arithmetic().graph(x.shape, y.shape, dtype="fp64")
    assert [value.name for value in graph.inputs] == ["input", "input_1"]
    outputs = evaluate(graph, {"input": x, "input_1": y})
    expected = [((1 - x) * 2 / (y * y + 1) + x + 3).reshape(2, 6), x**2, 1 / (x * x + 1), x.sum(1)]
    for name, wanted in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(outputs[name], wanted, rtol=1e-13)


def test_dtype_casts_parameters():
    graph = Net().graph((1, 4, 5, 5), dtype="fp64")
    assert {array.dtype for array in graph.constants.values() if array.dtype.kind == "f"} == {np.dtype(np.float64)}


def test_calling_on_arrays_is_refused():
    with pytest.raises(InputError, match="InferenceSession"):
        nn.ReLU()(np.zeros(3))


def test_repr_shows_the_tree():
    assert "(conv1): Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)" in repr(Net())
