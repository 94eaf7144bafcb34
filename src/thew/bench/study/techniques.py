"""What the variants of an ablation are called in reports."""

from __future__ import annotations

from thew.bench.peers import split
from thew.bench.study.pieces import techniques

WORDS = {
    "fusion": "fusion in the kernel's writer",
    "folding": "batch norms folded into weights",
    "fitted_blocking": "cache parameters fitted to this machine",
    "layouts": "layouts for the whole graph",
    "winograd": "Winograd",
    "strips": "strips, depth first",
    "memory_planning": "memory planning",
}


def named(contender: str) -> str:
    """``thew:mode=throughput`` as "thew throughput"."""
    peer, options = split(contender)
    return " ".join([peer, *options.values()])


def label(contender: str) -> str:
    """``thew:winograd=off`` as "without Winograd"."""
    _, options = split(contender)
    off = [name for name, state in options.items() if state == "off"]
    parts = []
    if len(off) == len(techniques()):
        parts.append("without any technique")
    elif len(off) == len(techniques()) - 1 and len(off) > 1:
        (only,) = set(techniques()) - set(off)
        parts.append(f"only {WORDS.get(only, only)}")
    elif off:
        parts.append("without " + " and ".join(WORDS.get(name, name) for name in off))
    if "threads" in options:
        parts.append(f"{options['threads']} thread")
    if "precision" in options:
        parts.append(options["precision"])
    return ", ".join(parts) or "all techniques"
