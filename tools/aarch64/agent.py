"""The learner of an agent of Atari, without the games: random frames and transitions in its replay memory. Made on the
host for what it plans, and in the guest to be run.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thew.rl.graph import Networks
from thew.rl.hyperparameters import preset
from thew.rl.learner import Learner
from thew.rl.network import QNetwork
from thew.rl.observation import Observation
from thew.rl.replay import Replay
from thew.runtime.device import target
from thew.runtime.executable import Settings
from thew.train.precision import precision_of

TRANSITIONS, ACTIONS = 64, 4


def learner(precision: str) -> Learner:
    seen, random = Observation((84, 84), "uint8", 4, 255.0), np.random.default_rng(0)
    given = replace(preset(seen), buffer_size=TRANSITIONS + 8)
    memory = Replay(seen, given)
    frames = random.integers(0, 256, (TRANSITIONS + 1, 84, 84), np.uint8)
    memory.begin(0, frames[0])
    for frame in frames[1:]:
        memory.add(0, int(random.integers(ACTIONS)), 1.0, frame, False, False)
    networks = Networks(QNetwork(seen, ACTIONS), QNetwork(seen, ACTIONS))
    return Learner(networks, memory, given, precision_of(precision), Settings(target(1, None)))
