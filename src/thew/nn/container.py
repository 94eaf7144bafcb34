"""Modules that hold modules: a chain, and a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from thew.nn.module import Module


class Sequential(Module):
    """A chain of modules, named 0, 1, … or by a mapping's keys.

    Example:
        >>> from thew import nn
        >>> [name for name, array in nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            named = module if isinstance(module, Mapping) else {str(index): module}
            for name, child in named.items():
                self.add_module(name, child)

    def forward(self, x: Any) -> Any:
        """What the first module takes."""
        for module in self.children():
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class ModuleList(Module):
    """A list of modules; what is done with them is the owner's matter."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]
