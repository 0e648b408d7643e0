"""An invalid file is an error of one line with a hint."""

from pathlib import Path

import pytest

from s4mi.errors import S4miError

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("contents", [b"no network", b""])
def test_an_invalid_file_is_one_line_with_a_hint(tmp_path: Path, contents: bytes) -> None:
    from s4mi.inference.onnx_model import OnnxModel

    path = tmp_path / "model.onnx"
    path.write_bytes(contents)
    with pytest.raises(S4miError) as error:
        OnnxModel(path)
    hint = "copy it again, or re-create it with: s4mi export"
    assert str(error.value) == f"{path}: not a valid ONNX file; {hint}"
