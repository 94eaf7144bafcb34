"""`Module`: a tree of layers that own NumPy arrays under PyTorch's names.

Arrays are of two kinds: parameters (trained) and buffers (running statistics). Both appear in `state_dict`, and in a
graph as constants of the same name, by which training tells them from plain constants. A graph shares their memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from thew.errors import InputError, ModelError, ShapeError
from thew.ir import Dim, Graph
from thew.ir.graph import Array
from thew.nn.tensor import Tensor
from thew.nn.trace import Trace


class Unmatched(NamedTuple):
    """Names that `load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models.

    A subclass calls ``super().__init__()``, assigns its layers as attributes and writes `forward` on `Tensor`.

    Example:
        >>> from thew import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = nn.Linear(4, 2)
        ...     def forward(self, x):
        ...         return nn.functional.relu(self.fc(x))
        >>> [name for name, array in Net().named_parameters()]
        ['fc.weight', 'fc.bias']
    """

    training: bool

    def __init__(self) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            object.__setattr__(self, table, {})
        self.training = True
        self.frozen: set[str] = set()  # names of own parameters that training leaves alone

    def forward(self, *inputs: Any) -> Any:
        """Builds the nodes of this module; subclasses write it."""
        raise NotImplementedError(f"{type(self).__name__}: must define forward")

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Traces the module: symbolic tensors in, symbolic tensors out."""
        tensor = next((value for value in _flat(inputs) if isinstance(value, Tensor)), None)
        if tensor is None:
            raise InputError(
                f"{type(self).__name__}: must be called on nn.Tensor inside a trace, got {_kinds(inputs)}; to compute, "
                "run thew.InferenceSession(model.graph(input_shape))"
            )
        with tensor.trace.inside(self, is_leaf=not self._modules):
            return self.forward(*inputs, **options)  # type: ignore[no-any-return]  # a tuple where forward gives one

    def graph(
        self,
        *input_shapes: tuple[Dim, ...],
        dtype: str = "fp32",
        training: bool = False,
        name: str = "",
        input_dtype: str = "",
    ) -> Graph:
        """The graph of this module for inputs of these shapes.

        Args:
            input_shapes: one shape an input; an extent may be a symbol, as in ``("n", 3, 224, 224)``.
            dtype: dtype of the computation; parameters are cast to it.
            training: whether dropout and batch norm act as in training; the module's own flag is left as it was.
            name: the graph's name; the class's where empty.
            input_dtype: dtype of the inputs, where it is another ("int64" for numbers of an embedding).

        Raises:
            ShapeError: where a layer cannot take what reaches it.
        """
        arrays = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        paths = {id(module): path for path, module in reversed(list(self.named_modules()))}
        trace = Trace(name or type(self).__name__, arrays, paths, dtype)
        flags = {id(module): (module, module.training) for _, module in self.named_modules()}
        self.train(training)
        try:
            results = self(*(trace.input("input", shape, input_dtype) for shape in input_shapes))
        finally:
            for module, flag in flags.values():
                module.training = flag
        return trace.finish([results] if isinstance(results, Tensor) else list(results))

    def register_parameter(self, name: str, array: Array | None) -> None:
        """Adds a trained array; None keeps the name for an absent one."""
        self._parameters[name] = array

    def register_buffer(self, name: str, array: Array | None) -> None:
        """Adds an array that is part of the state but not trained by gradients."""
        self._buffers[name] = array

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a child."""
        if "." in name or not name:
            raise ModelError(f"{type(self).__name__}: a child's name must be non-empty without dots, got {name!r}")
        self._modules[name] = module

    def children(self) -> Iterator[Module]:
        """The children, in order of registration."""
        return (module for module in self._modules.values() if module is not None)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths; the root's is empty."""
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Trained arrays with their full names; a shared one comes once."""
        return self._named("_parameters")

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Untrained arrays of the state with their full names."""
        return self._named("_buffers")

    def named_trainable(self) -> Iterator[tuple[str, Array]]:
        """The parameters that are not frozen, with their full names; a shared one comes once."""
        kept = {
            id(array)
            for module in self.modules()
            for name, array in module._parameters.items()
            if name not in module.frozen
        }
        return ((name, array) for name, array in self.named_parameters() if id(array) in kept)

    def parameters(self) -> Iterator[Array]:
        """Trained arrays."""
        return (array for _, array in self.named_parameters())

    def state_dict(self) -> dict[str, Array]:
        """All arrays under PyTorch's names, not copied."""
        state: dict[str, Array] = {}
        for path, module in self.named_modules():
            for name, array in (*module._parameters.items(), *module._buffers.items()):
                if array is not None:
                    state[f"{path}.{name}" if path else name] = array
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Unmatched:
        """Copies arrays in by name; a value is anything that NumPy takes, PyTorch's tensors included.

        Raises:
            ModelError: with `strict`, where names are missing or unexpected.
            ShapeError: where a shape differs.
        """
        own = self.state_dict()
        unmatched = Unmatched([name for name in own if name not in state], [name for name in state if name not in own])
        if strict and any(unmatched):
            missing, unexpected = (
                ", ".join(names[:4]) + ("…" if len(names) > 4 else "") or "none" for names in unmatched
            )
            raise ModelError(
                f"load_state_dict: names must match, got missing: {missing}; unexpected: {unexpected}; or strict=False"
            )
        arrays = {name: np.asarray(value) for name, value in state.items() if name in own}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ShapeError(f"load_state_dict '{name}': shape must be {own[name].shape}, got {array.shape}")
        for name, array in arrays.items():
            own[name][...] = array
        return unmatched

    def train(self, mode: bool = True) -> Module:
        """Sets the training flag here and below."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Clears the training flag here and below."""
        return self.train(False)

    def freeze(self, *names: str) -> Module:
        """Keeps training from changing parameters: those of this module that are named, or all here and below.

        A batch norm of which all is frozen also uses its statistics as they are.
        """
        for module in self.modules():
            module.frozen |= set(names or module._parameters) if module is self or not names else set()
        return self

    def unfreeze(self, *names: str) -> Module:
        """Lets training change parameters again: those of this module that are named, or all here and below."""
        for module in self.modules():
            module.frozen -= set(names or module._parameters) if module is self or not names else set()
        return self

    @property
    def is_frozen(self) -> bool:
        """Whether it has parameters, and training changes none of them."""
        own = {name for name, array in self._parameters.items() if array is not None}
        return bool(own) and own <= self.frozen

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer's repr."""
        return ""

    def _named(self, table: str) -> Iterator[tuple[str, Array]]:
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, array in getattr(module, table).items():
                if array is not None and id(array) not in seen:
                    seen.add(id(array))
                    yield f"{path}.{name}" if path else name, array

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise ModelError(f"{type(self).__name__}: must call super().__init__() before it sets '{name}'")
        for table in (self._parameters, self._buffers):
            if name in table:
                table[name] = value
                return
        if isinstance(value, Module) or name in self._modules:
            self.add_module(name, value)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(table, {}):
                return self.__dict__[table][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        return f"{type(self).__name__}({self.extra_repr()}" + ("\n" + "\n".join(lines) + "\n" if lines else "") + ")"

    _parameters: dict[str, Array | None]
    _buffers: dict[str, Array | None]
    _modules: dict[str, Module | None]


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _kinds(values: tuple[Any, ...]) -> str:
    return ", ".join(type(value).__name__ for value in values) or "nothing"
