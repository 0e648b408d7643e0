"""A file that `s4mi export` wrote, opened as a model that answers. No torch in here, unless the file needs it."""

from pathlib import Path

from s4mi.errors import S4miError
from s4mi.recipes.answers.exported import ONNX, ExportedModel


def open_exported(path: Path) -> ExportedModel:
    """The model in a file that `s4mi export` wrote; an ONNX file is run without torch.

    Raises:
        S4miError: it is not there, was not written by s4mi export, or the package that runs it is missing.
    """
    if not path.is_file():
        raise S4miError(f"{path}: not there; make one with: s4mi export RUN_DIR -o {path}")
    if path.suffix.lower() == ONNX:
        from s4mi.recipes.answers.onnx_model import OnnxModel

        return OnnxModel(path)
    from s4mi.recipes.answers.program_model import ProgramModel

    return ProgramModel(path)
