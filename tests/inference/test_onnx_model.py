"""A file that is no network says so in one line with a cure."""

from pathlib import Path

import pytest

from s4mi.errors import S4miError

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("contents", [b"no network", b""])
def test_a_broken_file_is_one_line_with_a_cure(tmp_path: Path, contents: bytes) -> None:
    from s4mi.inference.onnx_model import OnnxModel

    path = tmp_path / "model.onnx"
    path.write_bytes(contents)
    with pytest.raises(S4miError) as said:
        OnnxModel(path)
    cure = "copy it again, or write it anew with: s4mi export"
    assert str(said.value) == f"{path}: is no ONNX file, or a damaged one; {cure}"
