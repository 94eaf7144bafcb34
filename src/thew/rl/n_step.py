"""Returns over several steps (Sutton 1988): rewards are added up while they come in, one accumulator an environment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple


class Return(NamedTuple):
    """What is known of a transition once its rewards are in.

    Attributes:
        slot: where its observation lies.
        reward: Σ γᵏ r over the steps.
        discount: what the value of the state behind them is multiplied by: γⁿ, or 0 at the end of an episode.
        ahead: how many frames that state lies behind.
    """

    slot: int
    reward: float
    discount: float
    ahead: int


@dataclass
class _Pending:
    slot: int
    reward: float = 0.0
    discount: float = 1.0
    ahead: int = 0


class NStep:
    """The transitions of one environment whose rewards are not all in."""

    def __init__(self, steps: int, gamma: float) -> None:
        self._steps, self._gamma = steps, gamma
        self._pending: list[_Pending] = []

    def push(self, slot: int, reward: float, terminated: bool, truncated: bool) -> list[Return]:
        """One more step, from the observation at `slot`; gives the transitions that are now whole."""
        self._pending.append(_Pending(slot))
        for each in self._pending:
            each.reward += each.discount * reward
            each.discount *= self._gamma
            each.ahead += 1
        whole = len(self._pending) if terminated or truncated else int(self._pending[0].ahead == self._steps)
        done, self._pending = self._pending[:whole], self._pending[whole:]
        return [Return(each.slot, each.reward, each.discount * (not terminated), each.ahead) for each in done]

    def state(self) -> list[Any]:
        """What is not whole yet, for JSON."""
        return [astuple(each) for each in self._pending]

    def restore(self, state: Iterable[Any] = ()) -> None:
        """Goes on from there; from nothing by default."""
        self._pending = [_Pending(*each) for each in state]
