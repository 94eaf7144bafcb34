"""A gradient step against the definition written out in NumPy, with transitions from plain lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from episodes import ACTIONS, STACKED, VECTOR, Recorded

from thew.nn import init
from thew.rl.graph import Networks
from thew.rl.hyperparameters import Hyperparameters
from thew.rl.learner import Learner
from thew.rl.network import QNetwork
from thew.rl.replay import TREE
from thew.runtime.device import target
from thew.runtime.executable import Settings
from thew.runtime.session import InferenceSession
from thew.train.precision import precision_of

BATCH, RATE = 16, 1e-3


def learner_of(recorded: Recorded, precision: str = "fp64") -> Learner:
    with init.seeded(3):
        networks = [QNetwork(recorded.seen, ACTIONS, recorded.given.dueling) for _ in range(2)]
    learner = Learner(
        Networks(*networks), recorded.replay, recorded.given, precision_of(precision), Settings(target(1))
    )
    for array in networks[1].parameters():  # a target network that differs from the online one
        array += 0.05 * np.random.default_rng(1).standard_normal(array.shape)
    return learner


def values(network: QNetwork, observations: Any) -> Any:
    """By the network's exported graph: independent of states and of the step's graph."""
    graph = network.graph(("n", *network.observation.shape), input_dtype=network.observation.dtype)
    return InferenceSession(graph).run(None, {"input": observations})[0].astype(np.float64)


CASES: list[dict[str, Any]] = [
    {},
    {"loss": "huber", "double": True},
    {"n_step": 3, "num_envs": 2, "dueling": True},
    {"prioritized": True, "double": True, "n_step": 2},
]


@pytest.mark.parametrize(
    ("seen", "is_packed"), [(VECTOR, False), (STACKED, False), (STACKED, True)], ids=["vector", "stacked", "packed"]
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_errors_losses_and_priorities_are_those_of_the_definition(case, seen, is_packed):
    given = Hyperparameters(buffer_size=90, batch_size=BATCH, learning_rate=RATE, gamma=0.9, **case)
    recorded = Recorded(seen, given, 150, is_packed)
    learner, tree = learner_of(recorded, "fp32"), recorded.replay.arrays[TREE]
    random = np.random.default_rng(2)
    for beta in (0.4, 1.0):
        leaves = tree[recorded.replay.capacity :].copy()
        draws, spread = random.random(BATCH), np.cumsum(_leaf_order(leaves))
        slots = _leaf_slots(len(leaves))[
            np.searchsorted(spread, (np.arange(BATCH) + draws) * spread[-1] / BATCH, "right")
        ]
        drawn = [recorded.transition(int(slot)) for slot in slots]
        networks = learner.networks
        online = values(networks.online, np.stack([t.before for t in drawn]))
        after = np.stack([t.after for t in drawn])
        next_online, next_target = values(networks.online, after), values(networks.target, after)
        best = next_online.argmax(1) if given.double else next_target.argmax(1)
        rows = np.arange(BATCH)
        taken = online[rows, [t.action for t in drawn]]
        targets = [t.reward + t.discount * v for t, v in zip(drawn, next_target[rows, best], strict=True)]
        error = np.abs(taken - targets)
        losses = error**2 if given.loss == "mse" else np.where(error < 1, error**2 / 2, error - 0.5)
        if given.prioritized:
            losses = losses * (leaves[slots].min() / leaves[slots]) ** beta
        result = learner.step(draws, beta)
        np.testing.assert_allclose(result.values, taken, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.errors, error, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.loss, losses.mean(), rtol=1e-4, atol=1e-5)
        if given.prioritized:
            np.testing.assert_allclose(
                tree[recorded.replay.capacity + slots], (error + 1e-6) ** given.alpha, rtol=1e-3, atol=1e-4
            )


def _leaf_slots(leaves: int) -> Any:
    """Slots in the order in which a descent to the left comes to them."""

    def below(node: int) -> list[int]:
        return [node - leaves] if node >= leaves else below(2 * node) + below(2 * node + 1)

    return np.array(below(1))


def _leaf_order(leaves: Any) -> Any:
    return leaves[_leaf_slots(len(leaves))]


def test_weights_follow_the_gradient_of_the_definition():
    """Adam's first step moves every weight by the learning rate against its gradient: signs by central differences."""
    given = Hyperparameters(buffer_size=90, batch_size=BATCH, learning_rate=RATE, gamma=0.9, double=True)
    recorded = Recorded(VECTOR, given, 150)
    learner, draws = learner_of(recorded), np.full(BATCH, 0.5)
    weight = learner.networks.online.head.state_dict()["2.weight"]

    def loss() -> float:
        kept = {id(a): a.copy() for a in (*learner.networks.online.parameters(), *learner.states.values())}
        found = learner.step(draws, 0.4).loss
        for array in (*learner.networks.online.parameters(), *learner.states.values()):
            np.copyto(array, kept[id(array)])
        return found

    slopes, step = [], 1e-6
    places = [(0, 3), (1, 10), (2, 50)]
    for place in places:
        weight[place] += step
        above = loss()
        weight[place] -= 2 * step
        slopes.append((above - loss()) / (2 * step))
        weight[place] += step
    before = weight.copy()
    learner.step(draws, 0.4)
    for place, slope in zip(places, slopes, strict=True):
        moved = weight[place] - before[place]
        np.testing.assert_allclose(moved, -RATE * slope / (abs(slope) + 1e-8), rtol=1e-3)


def test_the_step_is_one_native_call_and_acting_copies_no_weights():
    recorded = Recorded(STACKED, Hyperparameters(buffer_size=90, batch_size=BATCH, prioritized=True, double=True), 150)
    learner = learner_of(recorded, "mixed-bf16")
    assert learner.executable.single is not None
    seen = np.stack([recorded.transition(slot).before for slot in sorted(recorded.drawable())[:5]])
    for _ in range(2):
        np.testing.assert_array_equal(learner.act(seen), values(learner.networks.online, seen).argmax(1))
        learner.step(np.random.default_rng(0).random(BATCH), 0.4)


@pytest.mark.parametrize("precision", ["mixed-fp16", "mixed-bf16", "mixed-fp64-fp16"])
def test_mixed_precision_stays_near_fp32(precision):
    given = Hyperparameters(buffer_size=90, batch_size=BATCH, learning_rate=RATE)
    results = []
    for kind in ("fp32", precision):
        learner = learner_of(Recorded(STACKED, given, 150), kind)
        results.append([learner.step(np.full(BATCH, 0.3), 0.4) for _ in range(3)][-1].values)
        if kind == "mixed-fp16":
            assert learner.scaling == {"scale": 2.0**16, "clean": 3.0, "skipped": 0.0}
    np.testing.assert_allclose(results[1], results[0], atol=0.05)


def test_a_target_network_moves_by_its_share():
    recorded = Recorded(VECTOR, Hyperparameters(buffer_size=90), 30)
    learner = learner_of(recorded)
    online, old = ([a.copy() for a in net.parameters()] for net in (learner.networks.online, learner.networks.target))
    learner.update_target(0.25)
    for array, one, other in zip(learner.networks.target.parameters(), online, old, strict=True):
        np.testing.assert_allclose(array, 0.75 * other + 0.25 * one, rtol=1e-12)
