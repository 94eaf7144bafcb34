"""What a step will take, estimated from the device's rates: arithmetic at the row's pace, bytes at that of the cache
that holds them, a fixed part.

    seconds = multiply-adds on whole vectors / (rate of the ISA and type × efficiency of the algorithm × threads)
            + bytes in, out and moved on the way / bandwidth of the level that their extent fits
            + a fixed part a step, and one more where several threads run it

The sum, not the larger of the two, since a core overlaps them in part only; calibration fits the efficiencies to the
same formula. Estimates compare ways to run one node, and weigh them against conversions; they are no predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thew.dtypes import HALVES, size_bytes
from thew.ops import Call, Candidate, Work, get
from thew.plan.rows import KernelRow

# By ISA; one that extends another (avx512_fp16) goes by its name up to the underscore.
_VECTOR_BYTES = {"amx": 128, "avx512": 64, "avx": 32, "avx2": 32, "x86_64_v2": 16, "neon": 16}
_DEPTH_BYTES = {"amx": 64}  # of a tile's rows: what is summed over fills them, or zeros do
# Multiply-adds a second of one core, in fp32 at a nominal 3 GHz; other types by what they fill of a vector. Wider
# vectors count as faster even half empty, so that without calibration the best ISA is always taken.
_RATES = {"amx": 500e9, "avx512": 72e9, "avx": 35e9, "avx2": 35e9, "x86_64_v2": 10e9, "neon": 24e9}
_MULTIPLIES_HALVES = {"fp16": ("neon_fp16", "avx512_fp16"), "bf16": ("avx512_bf16", "amx", "neon_bf16")}
_WIDENED = 0.5  # of the rate in 16 bits, where they are multiplied as fp32
_MULTIPLIES_BYTES = ("avx_vnni", "avx512_vnni", "amx", "neon_dotprod", "neon_i8mm", "neon_bf16")
_BY_PAIRS = 0.3  # of the rate in bytes, where they are multiplied as 16-bit integers
# Share of that rate that an algorithm reaches where bytes do not bound it.
_EFFICIENCY = {
    "conv.pointwise": 0.85,
    "conv.direct": 0.85,
    "conv.implicit": 0.80,
    "conv_batch": 0.85,
    "conv_planes": 0.85,
    "gemv": 0.9,
    "gemv.blocks": 0.65,
    "gemv.widened": 0.6,
    "matmul": 0.85,
    "depthwise": 0.35,
    "depthwise.grouped": 0.9,
    "winograd": 0.80,
    "im2col": 0.6,
    "integer.packed": 0.8,
    "integer.implicit": 0.7,
    "pool": 0.25,
    "unary": 0.10,
    "softmax": 0.05,
}
_OTHERWISE = 0.25


@dataclass(frozen=True)
class Costs:
    """Rates of a device.

    Attributes:
        name: "built-in", or "calibrated" where they were measured.
        speed: multiply-adds a second of one core over the nominal ones.
        efficiencies: share of it by ``family.algorithm/dtype/isa``, ``family.algorithm`` or ``family``, the most
            particular first.
        levels: (bytes of one core's share, bytes a second of one core), from the nearest cache to memory, of size 0.
        transpose_factor: how much slower bytes move where source and destination run along different axes.
        step_seconds: of a step that does nothing, and of each part of one that falls into parts.
        join_seconds: for several threads to begin a step and to end it together, over their share of the work.
        shared_threads: threads that still add bandwidth beyond a core's own caches.
        byte_seconds: what a byte that is kept for good is worth, where memory is short (see `thew.plan.within`).
    """

    name: str = "built-in"
    speed: float = 1.0
    efficiencies: Mapping[str, float] = field(default_factory=dict)
    levels: tuple[tuple[int, float], ...] = ((32 << 10, 100e9), (1 << 20, 50e9), (4 << 20, 20e9), (0, 8e9))
    transpose_factor: float = 2.0
    step_seconds: float = 0.5e-6
    join_seconds: float = 1.5e-6
    shared_threads: int = 2
    byte_seconds: float = 0.0

    def rate(self, row: KernelRow) -> float:
        """Multiply-adds a second that a row may reach on one core."""
        return self.speed * nominal_rate(row.isa, row.a)

    def efficiency(self, row: KernelRow) -> float:
        """Share of the rate that the row's algorithm reaches."""
        kind = f"{row.family}.{row.algorithm}"
        for key in (f"{kind}/{row.a}/{row.isa}", f"{kind}/{row.a}", kind):
            if key in self.efficiencies:
                return self.efficiencies[key]
        return next((_EFFICIENCY[key] for key in (kind, row.family) if key in _EFFICIENCY), _OTHERWISE)

    def transfer_seconds(self, moved_bytes: float, extent_bytes: float, threads: int) -> float:
        """Time for bytes to pass, of data of that extent, which decides the level that they come from."""
        nearest = len(self.levels) - 1
        for index, (size, _) in enumerate(self.levels[:-1]):
            if extent_bytes <= size:
                nearest = index
                break
        own = nearest < 2
        return moved_bytes / (self.levels[nearest][1] * (threads if own else min(threads, self.shared_threads)))

    def copy_seconds(self, shape: Iterable[int], dtype: str, threads: int, transposed: bool = True) -> float:
        """Time of a copy of a tensor; a conversion of its layout is transposed."""
        count = size_bytes(dtype)
        for extent in shape:
            count *= extent
        factor = self.transpose_factor if transposed else 1.0
        return self.transfer_seconds(2 * count * factor, 2 * count, threads) + self.step_seconds

    def step_cost(self, work: Work, row: KernelRow, passed_bytes: int, threads: int) -> Cost:
        """Estimate for a step that does `work` by a row and passes so many bytes from inputs to outputs."""
        lanes = _of(_VECTOR_BYTES, row.isa) // size_bytes(row.acc if row.a in HALVES else row.a)
        waste = _padded(work.columns, lanes) * _padded(work.depth, _DEPTH_BYTES.get(row.isa, 1) // size_bytes(row.a))
        compute = work.multiply_adds * waste / (self.rate(row) * self.efficiency(row) * threads)
        passed_bytes = passed_bytes if work.passed_bytes is None else work.passed_bytes
        memory = self.transfer_seconds(passed_bytes, passed_bytes, threads)
        moved = self.transfer_seconds(work.moved_bytes, work.workspace_bytes, threads)
        joined = self.join_seconds if threads > 1 else 0.0
        fixed = self.step_seconds * work.parts + joined + self.byte_seconds * work.kept_bytes
        return Cost(compute, memory + moved, fixed, work.multiply_adds, work.workspace_bytes)


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate: seconds of arithmetic, of moving bytes, and fixed, a price of memory with them; and its origin."""

    compute_seconds: float = 0.0
    memory_seconds: float = 0.0
    fixed_seconds: float = 0.0
    multiply_adds: int = 0
    workspace_bytes: int = 0

    @property
    def seconds(self) -> float:
        """The whole."""
        return self.compute_seconds + self.memory_seconds + self.fixed_seconds


BUILT_IN = Costs()


def nominal_rate(isa: str, dtype: str) -> float:
    """Multiply-adds a second of one core at a nominal 3 GHz."""
    share = 1.0
    if dtype in ("int8", "uint8") and isa not in _MULTIPLIES_BYTES:
        share = _BY_PAIRS
    elif dtype in HALVES and isa not in _MULTIPLIES_HALVES[dtype]:
        share = _WIDENED
    return float(_of(_RATES, isa)) * 4 / size_bytes(dtype) * share


def work_of(call: Call, candidate: Candidate) -> Work:
    """What running a call by a candidate takes."""
    return candidate.work(call) if candidate.work is not None else Work(get(call.node.op).flops(call) // 2)


def _padded(extent: int, unit: int) -> float:
    """By what an extent grows when it is filled up to whole units."""
    return -(-extent // unit) * unit / extent if extent and unit > 1 else 1.0


def _of(table: Mapping[str, Any], isa: str) -> Any:
    return table[isa] if isa in table else table[isa.split("_")[0]]
