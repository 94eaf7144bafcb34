"""Those that Thew is compared with, and Thew: one file each, imported only in the process that measures it.

A peer's module defines ``VERSION_OF`` (the modules whose versions are reported), ``environment(threads)``
(variables to set before anything is imported) and ``prepare(task)``, which gives a `Ready` for the tasks that it
knows, else None.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array

if TYPE_CHECKING:
    from thew.bench.tasks import Task


@dataclass(frozen=True)
class Ready:
    """A contender made ready: `call` does the work once; the settings are reported."""

    call: Callable[[], list[Array]]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """Where a peer's code is, and the module that must be installed for it."""

    module: str
    needs: str
    kinds: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported here."""
        return importlib.util.find_spec(self.needs) is not None

    def load_environment(self, threads: int) -> Mapping[str, str]:
        """Variables to set before it is imported; asks its module, which imports the peer itself only in `prepare`."""
        found: Mapping[str, str] = self.load().environment(threads)
        return found

    def load(self) -> Any:
        """Its module."""
        return importlib.import_module(f"thew.bench.peers.{self.module}")


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "thew": Peer("of_thew", "thew", ("dqn", "model", "matmul", "overhead", "training")),
        "onnxruntime": Peer("of_onnxruntime", "onnxruntime", ("model", "matmul", "overhead")),
        "torch": Peer("of_torch", "torch", ("dqn", "model", "matmul", "overhead", "training")),
        "stable-baselines3": Peer("of_stable_baselines3", "stable_baselines3", ("dqn",)),
        "torch-compile": Peer("of_torch_compile", "torch", ("model", "training")),
        "tensorflow": Peer("of_tensorflow", "tensorflow", ("dqn", "training")),
        "jax": Peer("of_jax", "jax", ("training",)),
        "openvino": Peer("of_openvino", "openvino", ("model", "matmul", "overhead")),
        "litert": Peer("of_litert", "ai_edge_litert", ("model",)),
        "mnn": Peer("of_mnn", "MNN", ("model",)),
        "ncnn": Peer("of_ncnn", "ncnn", ("model",)),
        "armnn": Peer("of_armnn", "pyarmnn", ("model",)),
        "numpy": Peer("of_numpy", "numpy", ("matmul",)),
        "blas": Peer("of_blas", "numpy", ("model",)),
    }
)


def split(spec: str) -> tuple[str, dict[str, str]]:
    """A contender's peer and options: ``thew:winograd=off:threads=1`` is Thew told two things.

    Raises:
        InputError: an option has no value.
    """
    name, *parts = spec.split(":")
    options = {key: value for key, _, value in (part.partition("=") for part in parts)}
    if "" in options or "" in options.values():
        raise InputError(f"contender {spec!r}: options must be such as winograd=off, got one without a value")
    return name, options


def chosen_precision(task: Task) -> str:
    """The option ``precision`` of a peer that has fp16 beside fp32. Raises InputError for any other."""
    precision = task.options.get("precision", "fp32")
    if precision not in ("fp32", "fp16"):
        raise InputError(f"contender: precision must be fp32 or fp16, got {precision!r}")
    return precision


def find(name: str, kind: str) -> Peer:
    """The peer of that name. Raises UnsupportedError where there is none, it is not installed or cannot do the task."""
    peer = PEERS.get(name)
    if peer is None or kind not in peer.kinds:
        able = [known for known, peer in PEERS.items() if kind in peer.kinds]
        raise UnsupportedError(f"peer {name!r}: must be one of {', '.join(able)} for {kind}")
    if not peer.is_installed:
        raise UnsupportedError(
            f"peer {name!r}: needs the package {peer.needs}, which is not installed; pip install it, or leave it out"
        )
    return peer
