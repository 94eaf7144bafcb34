"""einsum: sums of products over named dimensions. The equation is parsed here; NumPy runs it without ellipses."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.opdef import Call, OpDef, call_of, define
from thew.ops.rules import INTEGERS, Shape, all_one_dtype, broadcast, typed, widened

MAX_OPERANDS = 16  # NumPy has room for 32 arrays at once


@dataclass(frozen=True)
class Parsed:
    """Letters of each operand and of the result, ellipses spelt out, and the extent of each letter."""

    operands: tuple[str, ...]
    result: str
    extents: Mapping[str, int]


def parse(call: Call) -> Parsed:
    """The equation of a call, checked against the shapes."""
    equation = call.attribute("equation")
    if not isinstance(equation, str) or len(equation) > 1000:
        raise call.refuse(f"equation must be text of at most 1000 characters, got {str(equation)[:100]!r}")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(call.types) or len(terms) > MAX_OPERANDS:
        raise call.refuse(
            f"equation must have a term for each of {len(call.types)} inputs, at most {MAX_OPERANDS}, got {equation!r}"
        )
    named = {letter for letter in left + right if letter in string.ascii_letters}
    spare = [letter for letter in string.ascii_letters if letter not in named]
    wide = max(
        (len(call.shape(i)) - len(term.replace("...", "")) for i, term in enumerate(terms) if "..." in term), default=0
    )
    if wide > len(spare):
        raise call.refuse(f"equation must leave {wide} letters for the ellipsis, got {equation!r}")
    dots = "".join(spare[: max(wide, 0)])
    operands = tuple(_spelt(call, term, len(call.shape(i)), dots) for i, term in enumerate(terms))
    if arrow:
        result = right.replace("...", dots)
    else:
        counts = Counter("".join(operands))
        result = dots + "".join(sorted(letter for letter, count in counts.items() if count == 1 and letter not in dots))
    if len(set(result)) != len(result) or set(result) - set("".join(operands)) - set(dots):
        raise call.refuse(
            f"equation must name each dimension of its result once, and take it from an input, got {equation!r}"
        )
    return Parsed(operands, result, _extents(call, operands, dots))


def _spelt(call: Call, term: str, rank: int, dots: str) -> str:
    letters = term.replace("...", "", 1)
    own = rank - len(letters)
    if any(letter not in string.ascii_letters for letter in letters) or own < 0 or (own and "..." not in term):
        raise call.refuse(f"term {term!r} must name the {rank} dimensions of its input")
    return term.replace("...", dots[len(dots) - own :] if own else "", 1)


def _extents(call: Call, operands: tuple[str, ...], dots: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for index, letters in enumerate(operands):
        for letter, extent in zip(letters, call.shape(index), strict=True):
            found[letter] = broadcast(call, (found.get(letter, 1),), (extent,))[0]
    return {**dict.fromkeys(dots, 1), **found}


def _shapes(call: Call) -> list[Shape | None]:
    parsed = parse(call)
    return [tuple(parsed.extents[letter] for letter in parsed.result)]


def _reference(attributes: Mapping[str, Any], *inputs: Array) -> list[Array]:
    parsed = parse(call_of("einsum", attributes, inputs))
    # NumPy broadcasts only what an ellipsis names, so extents of 1 are dropped, and put back at the end.
    operands, arrays = [], []
    for letters, array in zip(parsed.operands, inputs, strict=True):
        kept = [i for i, letter in enumerate(letters) if array.shape[i] == parsed.extents[letter]]
        operands.append("".join(letters[i] for i in kept))
        arrays.append(widened(array).reshape([array.shape[i] for i in kept]))
    present = set("".join(operands))
    result = "".join(letter for letter in parsed.result if letter in present)
    limit = max([array.size for array in arrays] + [prod(parsed.extents[letter] for letter in result), 1])
    y = np.einsum(f"{','.join(operands)}->{result}", *arrays, optimize=("greedy", limit))
    shape = [parsed.extents[letter] for letter in parsed.result]
    return [np.asarray(y).reshape(shape).astype(inputs[0].dtype)]


def _flops(call: Call) -> int:
    return 2 * prod(parse(call).extents.values())


def _dtype(call: Call) -> str:
    dtype = all_one_dtype(call)
    if dtype not in FLOATS + INTEGERS:
        raise call.refuse(f"inputs must be numbers, got {dtype}")
    return dtype


define(OpDef("einsum", typed(_shapes, _dtype), _reference, {"equation": None}, (1, -1), flops=_flops))
