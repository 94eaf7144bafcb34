"""Reads what the counting plugin writes: executed blocks of a region, and the products among their words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MacClass:
    """Instructions that multiply and accumulate: those with `word & mask == value`, and how many lanes each has."""

    mask: int
    value: int
    lanes: Callable[[int], int]


def whole_or_half(lanes: int) -> Callable[[int], int]:
    """Lanes of a full register; a half one (bit Q clear) has half as many."""
    return lambda word: lanes if word >> 30 & 1 else lanes // 2


def fp32_or_fp64(word: int) -> int:
    """fp64 (bit sz set) has two lanes; fp32 four or two."""
    return 2 if word >> 22 & 1 else whole_or_half(4)(word)


def long_lanes(word: int) -> int:
    """Products of the widening forms, upper half (bit Q) or lower: eight of bytes, four of halves, two of words."""
    return (8, 4, 2, 0)[word >> 22 & 3]


# Arm ARM (DDI 0487) C4.1: Advanced SIMD three same and vector by indexed element; floating-point, three sources.
MAC_CLASSES = (
    MacClass(0xBFA0FC00, 0x0E20CC00, fp32_or_fp64),  # fmla v, v, v
    MacClass(0xBF80F400, 0x0F801000, fp32_or_fp64),  # fmla v, v, v[i]
    MacClass(0xBF80F400, 0x0F805000, fp32_or_fp64),  # fmls v, v, v[i]
    MacClass(0xBFE0FC00, 0x0E400C00, whole_or_half(8)),  # fmla v.8h, v.8h, v.8h
    MacClass(0xBFC0F400, 0x0F001000, whole_or_half(8)),  # fmla v.8h, v.8h, v.h[i]
    MacClass(0xFF208000, 0x1F000000, lambda word: 1),  # fmadd
    MacClass(0x9FE0FC00, 0x0E809400, whole_or_half(16)),  # sdot, udot
    MacClass(0x9FC0F400, 0x0F80E000, whole_or_half(16)),  # sdot, udot by element
    MacClass(0xBFC0FC00, 0x0E809C00, whole_or_half(16)),  # usdot
    MacClass(0xBFC0F400, 0x0F80F000, whole_or_half(16)),  # usdot by element
    MacClass(0xBFC0F400, 0x0F00F000, whole_or_half(16)),  # sudot by element
    MacClass(0xDFE0F400, 0x4E80A400, lambda word: 32),  # smmla, ummla, usmmla
    MacClass(0xFFE0FC00, 0x6E40EC00, lambda word: 16),  # bfmmla
    MacClass(0xBFE0FC00, 0x2E40FC00, whole_or_half(8)),  # bfdot
    MacClass(0xBFC0F400, 0x0F40F000, whole_or_half(8)),  # bfdot by element
    MacClass(0xBFE0FC00, 0x0E20EC00, whole_or_half(4)),  # fmlal
    MacClass(0xBFE0FC00, 0x2E20CC00, whole_or_half(4)),  # fmlal2
    MacClass(0xBFC0F400, 0x0F800000, whole_or_half(4)),  # fmlal by element
    MacClass(0xBFC0F400, 0x2F808000, whole_or_half(4)),  # fmlal2 by element
    MacClass(0xBFE0FC00, 0x2EC0FC00, lambda word: 4),  # bfmlalb, bfmlalt
    MacClass(0xBFC0F400, 0x0FC0F000, lambda word: 4),  # bfmlalb, bfmlalt by element
    MacClass(0x9F20FC00, 0x0E208000, long_lanes),  # smlal, umlal
    MacClass(0x9F00F400, 0x0F002000, long_lanes),  # smlal, umlal by element
    MacClass(0x9F20FC00, 0x0E20C000, long_lanes),  # smull, umull: sadalp adds what they give
)


def macs_of(word: int) -> int:
    return next((row.lanes(word) for row in MAC_CLASSES if word & row.mask == row.value), 0)


@dataclass(frozen=True)
class Block:
    address: int
    count: int
    words: tuple[int, ...]

    @property
    def instructions(self) -> int:
        return self.count * len(self.words)


@dataclass(frozen=True)
class Region:
    laps: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def instructions(self) -> int:
        return sum(block.instructions for block in self.blocks)

    @property
    def macs(self) -> int:
        return sum(block.count * macs_of(word) for block in self.blocks for word in block.words)


def read_region(path: Path) -> Region:
    first, *lines = path.read_text().splitlines()
    return Region(tuple(map(int, first.split()[1:])), tuple(map(parse_block, lines)))


def parse_block(line: str) -> Block:
    address, count, code = line.split()
    words = tuple(int(code[at : at + 8], 16) for at in range(0, len(code), 8))
    return Block(int(address, 16), int(count), words)
