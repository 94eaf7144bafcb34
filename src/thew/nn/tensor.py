"""`Tensor`: a value of the graph being traced, with the operators that `forward` writes.

It has no data. Every operator adds a node to the graph and gives the tensor for its output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thew.errors import ShapeError
from thew.ir import Dim, TensorType
from thew.nn.trace import Trace


class Tensor:
    """A symbolic tensor: a name, a dtype and a shape whose extents are numbers or symbols.

    Example:
        >>> from thew import nn
        >>> class Residual(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv = nn.Conv2d(8, 8, 3, padding=1)
        ...     def forward(self, x):
        ...         return x + self.conv(x)
        >>> str(Residual().graph(("n", 8, 4, 4)).type_of("output"))
        'fp32[n,8,4,4]'
    """

    __array_ufunc__ = None  # so that array * tensor comes to Tensor.__rmul__

    def __init__(self, trace: Trace, name: str, known: TensorType | None) -> None:
        self.trace = trace
        self.name = name
        self._known = known

    @property
    def dtype(self) -> str:
        """Element type, as ``fp32``."""
        return self._known.dtype if self._known is not None else self.trace.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Extents. Raises ShapeError where not even the rank is known."""
        if self._known is None or self._known.shape is None:
            raise ShapeError(f"tensor '{self.name}': its shape depends on data, so that its extents are not known here")
        return self._known.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """All extents, or that of one dimension."""
        return self.shape if dim is None else self.shape[dim]

    def op(self, name: str, *others: Any, **attributes: Any) -> Tensor:
        """Adds a node with this tensor as its first input, and gives its only output."""
        return self.trace.node(name, [self, *others], **attributes)[0]

    def __add__(self, other: Any) -> Tensor:
        return self.op("add", other)

    def __sub__(self, other: Any) -> Tensor:
        return self.op("sub", other)

    def __mul__(self, other: Any) -> Tensor:
        return self.op("mul", other)

    def __truediv__(self, other: Any) -> Tensor:
        return self.op("div", other)

    def __pow__(self, other: Any) -> Tensor:
        return self.op("pow", other)

    def __matmul__(self, other: Any) -> Tensor:
        return self.op("matmul", other)

    def __neg__(self) -> Tensor:
        return self.op("neg")

    def __radd__(self, other: Any) -> Tensor:
        return self.trace.node("add", [other, self])[0]

    def __rsub__(self, other: Any) -> Tensor:
        return self.trace.node("sub", [other, self])[0]

    def __rmul__(self, other: Any) -> Tensor:
        return self.trace.node("mul", [other, self])[0]

    def __rtruediv__(self, other: Any) -> Tensor:
        return self.trace.node("div", [other, self])[0]

    def reshape(self, *shape: Dim | Sequence[Dim]) -> Tensor:
        """Another shape over the same elements; 0 keeps an extent, one -1 takes what is left.

        A symbol, such as `size(0)` gives, keeps the extent where it stands already, or else takes what is left.
        """
        wanted = list(_listed(shape))
        for axis, extent in enumerate(wanted):
            if isinstance(extent, str):
                wanted[axis] = 0 if self.shape[axis : axis + 1] == (extent,) else -1
        if wanted.count(-1) > 1:
            raise ShapeError(f"reshape of '{self.name}': at most one extent may be open, got {_listed(shape)}")
        return self.op("reshape", np.asarray(wanted, np.int64))

    view = reshape

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Joins dimensions `start_dim` to `end_dim`, both included."""
        start, end = start_dim % self.ndim, end_dim % self.ndim
        if end < start:
            raise ShapeError(f"flatten of '{self.name}': start_dim must not exceed end_dim, got {start_dim}, {end_dim}")
        if start == 1 and end == self.ndim - 1:
            return self.op("flatten", axis=1)
        if start == end:
            return self
        tail = self.shape[end + 1 :]
        if any(isinstance(extent, str) for extent in tail):
            raise ShapeError(f"flatten of '{self.name}': extents after end_dim must be numbers, got {self.shape}")
        return self.reshape(*[0] * start, -1, *(int(extent) for extent in tail))

    def permute(self, *dims: int | Sequence[int]) -> Tensor:
        """Dimensions in another order."""
        return self.op("transpose", perm=tuple(dim % self.ndim for dim in _listed(dims)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two dimensions exchanged."""
        order = list(range(self.ndim))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        return self.permute(*order)

    def mean(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Mean over dimensions, all of them by default."""
        return self._reduce("reduce_mean", dim, keepdim)

    def sum(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Sum over dimensions, all of them by default."""
        return self._reduce("reduce_sum", dim, keepdim)

    def abs(self) -> Tensor:
        """|x|."""
        return self.op("abs")

    def exp(self) -> Tensor:
        """eˣ."""
        return self.op("exp")

    def log(self) -> Tensor:
        """Natural logarithm."""
        return self.op("log")

    def sqrt(self) -> Tensor:
        """Square root."""
        return self.op("sqrt")

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """x held within [min, max], either of which may be open."""
        return self.op("clip", min, max)

    def squeeze(self, dim: int) -> Tensor:
        """Without a dimension of extent 1."""
        return self.op("squeeze", np.asarray([dim], np.int64))

    def unsqueeze(self, dim: int) -> Tensor:
        """With a dimension of extent 1 more."""
        return self.op("unsqueeze", np.asarray([dim], np.int64))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """Splits a dimension into equal parts; the last is smaller where it does not divide."""
        return self.trace.node("split", [self], chunks, axis=dim, num_outputs=chunks)

    def _reduce(self, op: str, dim: int | Sequence[int] | None, keepdim: bool) -> Tensor:
        axes = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        return self.op(op, np.asarray(list(axes), np.int64), keepdims=int(keepdim))

    def __getitem__(self, index: Any) -> Tensor:
        """A number takes one place of a dimension and drops it, a slice a range of places; others stay."""
        places = index if isinstance(index, tuple) else (index,)
        if len(places) > self.ndim or not all(isinstance(place, int | slice) for place in places):
            raise ShapeError(f"index of '{self.name}': must be numbers and slices, up to {self.ndim}, got {index!r}")
        result = self
        for axis, place in reversed(list(enumerate(places))):
            result = result._taken(axis, place)
        return result

    def __iter__(self) -> Iterator[Tensor]:
        raise ShapeError(f"tensor '{self.name}': cannot be gone through; take it apart with chunk or an index")

    def _taken(self, axis: int, place: int | slice) -> Tensor:
        if isinstance(place, int):
            return self.op("gather", np.asarray(place, np.int64), axis=axis)
        if place == slice(None):
            return self
        start, stop, step = place.start, place.stop, 1 if place.step is None else place.step
        if step < 1:
            raise ShapeError(f"index of '{self.name}': steps must be at least 1, got {step}")
        bounds = (0 if start is None else start, np.iinfo(np.int64).max if stop is None else stop, axis, step)
        return self.op("slice", *(np.asarray([bound], np.int64) for bound in bounds))

    def __repr__(self) -> str:
        return f"Tensor('{self.name}', {self._known if self._known is not None else 'unknown'})"


def _listed(values: Sequence[Any]) -> Sequence[Any]:
    """What was given as several arguments, or as one list of them."""
    return values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
