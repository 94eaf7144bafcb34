"""Bayesian optimisation by tree-structured Parzen estimators, from Optuna (extra `search`)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from thew.errors import UnsupportedError
from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table


class Bayesian(Agent):
    """Optuna's TPE sampler, one categorical parameter a layer."""

    name = "bayesian"
    summary = "tree-structured Parzen estimators (Optuna)"

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts a study. Raises UnsupportedError where Optuna is not installed."""
        super().begin(table, episodes, seed)
        try:
            import optuna
        except ImportError as error:
            raise UnsupportedError(
                f"agent '{self.name}': needs Optuna, which is not installed; pip install 'thew[search]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._failed = optuna.trial.TrialState.FAIL
            self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._trial: Any = None

    def ask(self) -> Assignment:
        """The study's next trial, repaired where its choices cannot follow each other."""
        self._trial = self._study.ask()
        wanted = tuple(
            int(self._trial.suggest_categorical(str(layer), range(self.table.options(layer))))
            for layer in range(len(self.table))
        )
        return self.repaired(wanted)

    def tell(self, chosen: Assignment, value: float) -> None:
        """Reports to the study; what breaks a constraint is a failed trial."""
        super().tell(chosen, value)
        if np.isfinite(value):
            self._study.tell(self._trial, value)
        else:
            self._study.tell(self._trial, state=self._failed)
