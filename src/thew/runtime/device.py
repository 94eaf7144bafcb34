"""The machine at hand: its CPU, and the `Target` that plans for it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from thew.errors import InputError
from thew.plan import BUILT_IN, Target
from thew.runtime import _native
from thew.runtime.calibrate import calibrate, load_costs, save_costs
from thew.runtime.native import step_needs, supported_rows


@cache
def facts() -> dict[str, Any]:
    """CPU model, ISAs (best first), features, caches in bytes per core, cores and the container's quota."""
    return dict(_native.device())


def device_key() -> str:
    """What a plan is tied to: CPU model and best ISA."""
    found = facts()
    return f"{found['model'] or 'cpu'}/{found['isas'][0]}"


@cache
def target(threads: int = 1, isa: str | None = None, sharing: int = 0) -> Target:
    """The planner's view of this machine.

    Args:
        threads: workers that the plan may use.
        isa: plan as if the CPU had nothing better than this instruction set.
        sharing: threads that compute at once, where several plans run beside one another.

    Raises:
        InputError: the ISA is not one that this CPU has.
    """
    isas = tuple(facts()["isas"])
    if isa is not None:
        if isa not in isas:
            raise InputError(f"isa: must be one of {', '.join(isas)}, got {isa!r}")
        isas = isas[isas.index(isa) :]
    rows = tuple(row for row in supported_rows() if row.isa in isas)
    return Target(
        device_key() if isa is None else f"{device_key()} as {isa}",
        isas,
        threads,
        rows,
        lambda step: step_needs(step, threads),
        load_costs(device_key()),
        sharing,
    )


def calibrate_device() -> Path:
    """Measures this machine's rates, and keeps them for the planner: the file's path. Takes seconds."""
    here, together = (replace(target(threads), costs=BUILT_IN) for threads in (1, granted_threads()))
    costs = calibrate(here, together, measure_peak_flops("fp32", 1), facts()["caches"])
    path = save_costs(device_key(), costs)
    target.cache_clear()
    return path


def measure_peak_flops(dtype: str, threads: int) -> float:
    """Operations a second that multiply-adds reach in registers, measured now on one core, times the threads.

    0 for dtypes that kernels do not multiply.
    """
    if dtype not in ("fp32", "fp64"):
        return 0.0
    return float(_native.measure_peak_flops(dtype)) * threads


@cache
def peak_flops(dtype: str, threads: int) -> float:
    """The same, measured once for the life of the process."""
    return measure_peak_flops(dtype, threads)


def granted_threads(cpus: Sequence[int] = ()) -> int:
    """As many threads as keep busy what this process may use: a thread a core (hardware threads of one core count
    once) among `cpus` or the affinity mask, and no more than the control group's quota of CPU time.
    """
    allowed = set(cpus) or os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in allowed}
    quota = float(facts()["quota"])
    return max(1, min(len(cores), int(quota)) if quota > 0 else len(cores))


def _siblings(cpu: int) -> str:
    """Names the core of a hardware thread."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def parse_cores(text: str | None) -> tuple[int, ...]:
    """CPUs of ``all``, ``big``, ``little`` or a list such as ``0-3,6``; empty for all.

    Raises:
        InputError: the text is none of these, or names a CPU that this process may not use.
    """
    allowed = [core for core in facts()["cores"] if core["allowed"]]
    if text in (None, "", "all"):
        return ()
    kinds = {core["kind"] for core in allowed}
    if text in ("big", "little"):
        kind = min(kinds) if text == "big" else max(kinds)
        return tuple(core["cpu"] for core in allowed if core["kind"] == kind)
    chosen = _parse_ranges(text) if isinstance(text, str) else []
    unknown = [cpu for cpu in chosen if cpu not in {core["cpu"] for core in allowed}]
    if not chosen or unknown:
        usable = ",".join(str(core["cpu"]) for core in allowed)
        raise InputError(f"cores: must be all, big, little or CPUs among {usable} such as 0-3, got {text!r}")
    return tuple(chosen)


def _parse_ranges(text: str) -> Sequence[int]:
    chosen: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if found is None:
            return []
        chosen.extend(range(int(found[1]), int(found[2] or found[1]) + 1))
    return chosen
