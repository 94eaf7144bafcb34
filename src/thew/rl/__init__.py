"""Deep Q-learning on Gymnasium's environments: `DQN`.

Example:
    >>> agent = thew.rl.DQN("CartPole-v1", seed=1)
    >>> agent.learn(total_timesteps=50_000)
    >>> agent.save("cartpole.ckpt")
    >>> agent.export_onnx("policy.onnx")
"""

from thew.rl.dqn import DQN
from thew.rl.hyperparameters import Hyperparameters

__all__ = ["DQN", "Hyperparameters"]
