"""A run's model as one file, for programs that know nothing of s4mi: written, held against the run, then kept.

model.onnx   ONNX, for ONNX Runtime and whatever else runs it
model.pt2    a torch.export archive, for torch without the code that trained it
MODEL_CARD.md beside it
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import HardwareConfig, RunConfig
from s4mi.contract import Classifier, Segmenter, Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.spec import DatasetSpec, load_spec
from s4mi.errors import S4miError, require_extra
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.export.formats import WRITERS
from s4mi.inference.export.model_card import CARD_NAME, check_card, write_model_card
from s4mi.inference.export.verify import Verification, verification_inputs, verify_export
from s4mi.inference.load import ensure_calibrated, load_exported, select_runs
from s4mi.inference.model_metadata import ONNX, ImageInput, ModelMetadata, SourceRun, check_ending
from s4mi.records import RunRecord, TaskKind, read_record
from s4mi.records.calibration import read_calibration
from s4mi.training.prepare import prediction_spec, task_kind
from s4mi.training.run_dir import RunDir, load_method, make_fabric

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ExportResult:
    """What `export_run` wrote.

    Attributes:
        why: why this run, where there were several; else empty.
    """

    file: Path
    card: Path
    megabytes: float
    check: Verification
    why: str = ""


@dataclass(frozen=True)
class _Trained:
    """A finished run with its weights, in single precision on the CPU."""

    run: RunDir
    config: RunConfig
    record: RunRecord
    spec: DatasetSpec
    task: Task
    method: Classifier | Segmenter

    @property
    def multilabel(self) -> bool:
        return self.task.kind == "multilabel"


def export_run(given: Path, out: Path, *, task: TaskKind | None = None, overwrite: bool = False) -> ExportResult:
    """Write the model of the run in the folder `given`, or of a study's best run by validation, as the file `out`.

    Nothing is left behind unless the file answers as the run does, on images of its data set where they are there. A
    run that was never calibrated is calibrated first.

    Args:
        task: of a study's runs, those of this task alone.
        overwrite: replace what is there; a model card of this very run is always replaced.

    Raises:
        S4miError: no finished run that answers, an ending that names no format, a file that is there already, a
            package is missing, or the file answers otherwise than the run.
    """
    check_ending(out)
    if out.exists() and not overwrite:
        raise S4miError(f"{out}: is there already; choose another name, or replace it with --overwrite")
    if out.suffix.lower() == ONNX:
        for module in ("onnx", "onnxscript", "onnxruntime"):
            require_extra(module, extra="onnx", purpose=f"{out}: writing an ONNX file")
    chosen = select_runs(given, task=task)
    run = chosen.runs[0]
    record = read_record(run)
    card = out.parent / CARD_NAME
    check_card(card, record, overwrite=overwrite)
    ensure_calibrated(run)
    trained = _load(run, record)
    inputs = verification_inputs(trained.run, trained.spec, trained.config.data.preprocessing)
    facts = _facts(trained)
    expected = _answers(trained, inputs.pixels, temperature=facts.temperature)
    with _kept_if_right(out) as draft:
        WRITERS[out.suffix.lower()](_deployable(trained, facts), facts, draft)
        check = verify_export(load_exported(draft), inputs, expected, name=out)
    others = _other_seeds(given, run, task)
    write_model_card(card, out, run, record, facts, check, others=others, why=chosen.why)
    return ExportResult(out, card, out.stat().st_size / 1e6, check, chosen.why)


def _load(run: Path, record: RunRecord) -> _Trained:
    """The run as the CPU computes it in single precision, wherever it was trained."""
    run_dir = RunDir(run)
    config = run_dir.config()
    hardware = HardwareConfig(accelerator="cpu", precision="32", threads=config.hardware.threads)
    config = config.model_copy(update={"hardware": hardware})
    spec = prediction_spec(config, load_spec(run))
    kind = task_kind(config, spec)
    size = config.data.image_size
    task = Task(kind=kind, classes=spec.classes_of(kind), image_size=size, counts=(), labelled=0)
    method = load_method(make_fabric(config), config, task, run_dir.best)
    return _Trained(run_dir, config, record, spec, task, method)


def _facts(trained: _Trained) -> ModelMetadata:
    data, record, spec = trained.config.data, trained.record, trained.spec
    own = trained.config.method.own_classes
    calibration = read_calibration(trained.run.path)
    fits = calibration is not None and tuple(calibration.classes) == trained.task.classes
    return ModelMetadata(
        task=trained.task.kind,
        classes=trained.task.classes,
        unnamed=bool(own) and not trained.config.method.named and trained.task.classes == own,
        mask_values={str(key): name for key, name in spec.mask_values.items()},
        input=ImageInput(
            image_size=data.image_size,
            resize_through=data.resize_through,
            tile=data.tile,
            intensity=str(spec.rule),
            channels=spec.channels,
        ),
        red_channel_normalisation=data.red_channel_normalisation,
        calibration=calibration if fits else None,
        run=SourceRun(
            name=trained.run.path.resolve().name,
            method=record.method,
            technique=record.technique or record.method,
            backbone=record.backbone,
            member=record.member,
            dataset=record.dataset,
            synthetic=record.synthetic,
            seed=record.seed,
            config_hash=record.config_hash,
            split_hash=record.split_hash,
            data_hash=record.data_hash,
        ),
    )


def _deployable(trained: _Trained, facts: ModelMetadata) -> Deployable:
    return Deployable(
        trained.method,
        multilabel=trained.multilabel,
        red_channel_normalisation=facts.red_channel_normalisation,
        temperature=facts.temperature,
    )


@torch.inference_mode()
def _answers(trained: _Trained, pixels: Pixels, *, temperature: float) -> tuple[Floats, Floats]:
    """The run's own probabilities of (B, S, S, 3), at its temperature and without."""
    preprocessing = replace(trained.config.data.preprocessing, resize_through=None, tile=None)
    seen = torch.stack([torch.from_numpy(preprocessing.image(one)) for one in pixels])
    logits = trained.method.logits(seen.permute(0, 3, 1, 2).float().div_(255)).float()

    def probabilities(z: Tensor) -> Floats:
        return np.asarray((z.sigmoid() if trained.multilabel else z.softmax(dim=1)).numpy(), dtype=np.float32)

    return probabilities(logits / temperature), probabilities(logits)


@contextmanager
def _kept_if_right(out: Path) -> Iterator[Path]:
    """A file to write into, which becomes `out` if all goes well and vanishes if not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as folder:
            draft = Path(folder) / out.name  # its name is in an archive
            yield draft
            draft.replace(out)
    except OSError as error:
        raise S4miError(f"{out}: cannot be written ({error.strerror or error}); choose another folder") from error


def _other_seeds(given: Path, run: Path, task: TaskKind | None) -> tuple[RunRecord, ...]:
    """Of a study, the records of the same technique with other seeds."""
    if given == run:
        return ()
    return tuple(read_record(other) for other in select_runs(given, ensemble=True, task=task).runs if other != run)
