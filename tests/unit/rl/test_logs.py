"""The CSV log of a run that is resumed."""

from __future__ import annotations

import pytest

from thew.rl.logs import CSVLog


@pytest.mark.parametrize("written", ["", "global_step,loss\n", "global_step,loss\n10.0,1\n20.0,2\n30.0,3\n"])
def test_rows_beyond_the_checkpoint_leave_the_log(tmp_path, written):
    """Also where the run was cut short before it had written anything."""
    path = tmp_path / "log.csv"
    path.write_text(written)
    CSVLog(path, steps=20)
    assert path.read_text() == written.removesuffix("30.0,3\n")
