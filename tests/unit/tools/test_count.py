"""The counting tool's reading of what the plugin writes; words and their meaning are from GNU as and objdump."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools" / "aarch64"))
regions = pytest.importorskip("regions")

WORDS = {
    0x4E22CC20: ("fmla v0.4s, v1.4s, v2.4s", 4),
    0x0E22CC20: ("fmla v0.2s, v1.2s, v2.2s", 2),
    0x4E62CC20: ("fmla v0.2d, v1.2d, v2.2d", 2),
    0x4FA21820: ("fmla v0.4s, v1.4s, v2.s[3]", 4),
    0x4FCC1827: ("fmla v7.2d, v1.2d, v12.d[1]", 2),
    0x4F825020: ("fmls v0.4s, v1.4s, v2.s[0]", 4),
    0x4E420C20: ("fmla v0.8h, v1.8h, v2.8h", 8),
    0x4F321820: ("fmla v0.8h, v1.8h, v2.h[7]", 8),
    0x1F020C20: ("fmadd s0, s1, s2, s3", 1),
    0x1F420C20: ("fmadd d0, d1, d2, d3", 1),
    0x4E829420: ("sdot v0.4s, v1.16b, v2.16b", 16),
    0x2E829420: ("udot v0.2s, v1.8b, v2.8b", 8),
    0x4FA2E820: ("sdot v0.4s, v1.16b, v2.4b[3]", 16),
    0x4E829C20: ("usdot v0.4s, v1.16b, v2.16b", 16),
    0x4FA2F020: ("usdot v0.4s, v1.16b, v2.4b[1]", 16),
    0x4F22F020: ("sudot v0.4s, v1.16b, v2.4b[1]", 16),
    0x4E82A420: ("smmla v0.4s, v1.16b, v2.16b", 32),
    0x6E82A420: ("ummla v0.4s, v1.16b, v2.16b", 32),
    0x4E82AC20: ("usmmla v0.4s, v1.16b, v2.16b", 32),
    0x6E42EC20: ("bfmmla v0.4s, v1.8h, v2.8h", 16),
    0x6E42FC20: ("bfdot v0.4s, v1.8h, v2.8h", 8),
    0x4F62F020: ("bfdot v0.4s, v1.8h, v2.2h[1]", 8),
    0x2EC2FC20: ("bfmlalb v0.4s, v1.8h, v2.8h", 4),
    0x4FE2F020: ("bfmlalt v0.4s, v1.8h, v2.h[2]", 4),
    0x4E22EC20: ("fmlal v0.4s, v1.4h, v2.4h", 4),
    0x6E22CC20: ("fmlal2 v0.4s, v1.4h, v2.4h", 4),
    0x0E22EC20: ("fmlal v0.2s, v1.2h, v2.2h", 2),
    0x4FB20020: ("fmlal v0.4s, v1.4h, v2.h[3]", 4),
    0x6FB28020: ("fmlal2 v0.4s, v1.4h, v2.h[3]", 4),
    0x0E628020: ("smlal v0.4s, v1.4h, v2.4h", 4),
    0x4E628020: ("smlal2 v0.4s, v1.8h, v2.8h", 4),
    0x2E228020: ("umlal v0.8h, v1.8b, v2.8b", 8),
    0x0F522820: ("smlal v0.4s, v1.4h, v2.h[5]", 4),
    0x0E22C020: ("smull v0.8h, v1.8b, v2.8b", 8),
    0x4E606820: ("sadalp v0.4s, v1.8h", 0),
    0x6E22DC20: ("fmul v0.4s, v1.4s, v2.4s", 0),
    0x4FA29020: ("fmul v0.4s, v1.4s, v2.s[1]", 0),
    0x4E22D420: ("fadd v0.4s, v1.4s, v2.4s", 0),
    0x4EA29420: ("mla v0.4s, v1.4s, v2.4s", 0),
    0x3DC00000: ("ldr q0, [x0]", 0),
    0x8B020020: ("add x0, x1, x2", 0),
}


@pytest.mark.parametrize("word", WORDS, ids=lambda word: WORDS[word][0])
def test_multiply_accumulates_of_an_instruction(word: int) -> None:
    assert regions.macs_of(word) == WORDS[word][1]


def test_a_region_adds_up_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "out.1"
    path.write_text("laps 10 25\n5500 3 4e22cc208b020020\n5508 2 1f020c20\n")
    region = regions.read_region(path)
    assert region.laps == (10, 25)
    assert region.instructions == 3 * 2 + 2
    assert region.macs == 3 * 4 + 2 * 1
