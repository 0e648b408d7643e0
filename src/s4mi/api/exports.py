"""Export the model of a run as one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path
from s4mi.api.quiet import quiet
from s4mi.api.show import facts, heading
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from s4mi.api.models import Model
    from s4mi.inference.export.verify import Verification
    from s4mi.records import TaskKind


@dataclass(frozen=True, repr=False)
class ExportOutput:
    """A model file that was written.

    Attributes:
        file: the model.
        card: its model card, beside it.
        megabytes: size of the model file.
        check: how it was compared with the run: `difference` is the largest one of any probability.
        reason: for a study, which run was selected and why; else empty.
    """

    file: Path
    card: Path
    megabytes: float
    check: "Verification"
    reason: str = ""

    def load(self) -> "Model":
        """The exported model, to predict with."""
        from s4mi.api.models import load

        return load(self.file)

    def __repr__(self) -> str:
        return f"ExportOutput({str(self.file)!r}): {self.megabytes:.1f} MB"

    def _repr_html_(self) -> str:
        return heading(f"{self.file} ({self.megabytes:.1f} MB)") + facts(
            (
                ("selected", self.reason),
                ("verified", f"same probabilities as the run, to {max(self.check.difference, 1e-7):.0e}"),
                ("on", self.check.origin),
                ("model card", self.card),
            )
        )


@system_errors()
def export(run: StrPath, out: StrPath, *, task: "TaskKind | None" = None, overwrite: bool = False) -> ExportOutput:
    """Export a model as one file that needs no s4mi to run, with a model card beside it.

    The file is kept only if its probabilities equal the run's on images of its data set. A run that was never
    calibrated is calibrated first.

    Args:
        run: folder of a run, or of a study: its best run by validation.
        out: the file: .onnx for ONNX, .pt2 for a torch.export archive.
        task: for a study, only runs of this task.
        overwrite: replace the file and its model card.

    Raises:
        S4miError: no finished run, an unknown file ending, a file that exists, a missing package, or a model whose
            probabilities differ from the run's.
    """
    with quiet():
        from s4mi.recipes.export import export_run

        made = export_run(as_path(run), as_path(out), task=task, overwrite=overwrite)
    return ExportOutput(made.file, made.card, made.megabytes, made.check, made.why)
