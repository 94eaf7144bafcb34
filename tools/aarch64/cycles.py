"""Modelled cycles: executions of each block times what LLVM's model of a core takes for it in steady state.

All loads hit the first level, no branch is mispredicted, and blocks do not overlap: a model, to be quoted as one. LLVM
has models worth using of Cortex-A72 and Neoverse-N1 (which is Cortex-A76 and A78 in all that counts here).
"""

from __future__ import annotations

import json
import re
import subprocess

from regions import Block, Region

LLVM = "22"
ITERATIONS = 100
COVERED = 0.995  # share of the instructions that is modelled; the rest is taken to run as fast
MOST_BLOCKS = 600
NOT_MODELLED = re.compile(r"(svc|brk|hlt|mrs|msr|dmb|isb|dsb|yield|hint)\b")


def modelled_cycles(region: Region, model: str) -> float:
    """Cycles of a region on LLVM's model of a core."""
    hot = hottest(region)
    return extrapolated(region, hot, cycles_of(hot, model))


def extrapolated(region: Region, hot: list[Block], took: list[float]) -> float:
    """Cycles of a region whose hottest blocks take so many each, as if the rest were as fast."""
    covered = sum(block.instructions for block in hot)
    return sum(block.count * each for block, each in zip(hot, took, strict=True)) * region.instructions / covered


def hottest(region: Region) -> list[Block]:
    chosen: list[Block] = []
    left = COVERED * region.instructions
    for block in sorted(region.blocks, key=lambda block: -block.instructions)[:MOST_BLOCKS]:
        if left <= 0:
            break
        chosen.append(block)
        left -= block.instructions
    return chosen


def cycles_of(blocks: list[Block], model: str) -> list[float]:
    """Of each block, were it a loop."""
    lines = iter(disassembled([word for block in blocks for word in block.words]))
    source = []
    for number, block in enumerate(blocks):
        source.append(f"// LLVM-MCA-BEGIN {number}")
        source += [next(lines) for _ in block.words]
        source.append(f"// LLVM-MCA-END {number}")
    said = llvm(
        "mca", "\n".join(source) + "\n", f"-mcpu={model}", f"-iterations={ITERATIONS}", "-json",
        "--skip-unsupported-instructions=any", "--all-views=false", "--summary-view=true",
    )  # fmt: skip
    regions = json.loads(said)["CodeRegions"]
    cycles = {int(one["Name"]): one["SummaryView"]["TotalCycles"] / ITERATIONS for one in regions}
    return [cycles[number] for number in range(len(blocks))]


def disassembled(words: list[int]) -> list[str]:
    text = "\n".join(" ".join(f"{byte:#04x}" for byte in word.to_bytes(4, "little")) for word in words)
    lines = [line.strip() for line in llvm("mc", text, "--disassemble").splitlines()]
    kept = [line for line in lines if line and not line.startswith(".")]
    assert len(kept) == len(words), "every word must be an instruction"
    return ["nop" if NOT_MODELLED.match(line) else line for line in kept]


def llvm(tool: str, text: str, *options: str) -> str:
    command = [
        f"llvm-{tool}-{LLVM}",
        "--triple=aarch64" if tool == "mc" else "-mtriple=aarch64",
        "-mattr=+all",
        *options,
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
