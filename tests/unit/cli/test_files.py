"""Files that commands write: beside the model where that can be, and refused before long work where nowhere."""

import pytest

from thew.cli import files
from thew.errors import InputError


def test_files_lie_beside_the_model_or_here(tmp_path, monkeypatch):
    assert files.beside(str(tmp_path / "net.onnx")) == tmp_path / "net"
    assert str(files.beside("zoo:resnet50")) == "resnet50"
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    assert str(files.beside(str(tmp_path / "net.v2.onnx"))) == "net.v2"


def test_a_folder_that_takes_no_files_is_refused(tmp_path):
    files.check_folder(tmp_path / "plan.json")
    with pytest.raises(InputError, match="folder that files can be written to"):
        files.check_folder(tmp_path / "nowhere" / "plan.json")
