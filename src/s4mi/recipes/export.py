"""Export a run's model as one file that runs without s4mi, and verify it against the run before keeping it.

model.onnx      ONNX, for ONNX Runtime and other runtimes
model.pt2       torch.export archive, for torch without the training code
MODEL_CARD.md   written beside the file; other.MODEL_CARD.md if it is the card of another file (`card_place.py`)
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.config import HardwareConfig, RunConfig
from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Segmenter, Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.spec import DatasetSpec, load_spec
from s4mi.errors import S4miError, require_extra
from s4mi.inference.export.card_place import card_of, check_card, same_in_other_format
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.export.formats import WRITERS
from s4mi.inference.export.model_card import write_model_card
from s4mi.inference.export.verify import TREES_APART, Verification, verification_inputs, verify_export
from s4mi.inference.load import ensure_calibrated, load_exported, select_runs
from s4mi.inference.model_metadata import ONNX, ImageInput, ModelMetadata, SourceRun, check_ending
from s4mi.nets.trees import Trees
from s4mi.records import RunRecord, TaskKind, read_record
from s4mi.records.atomic import replacing
from s4mi.records.calibration import read_calibration
from s4mi.training.feature_stores import attach
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_runtime
from s4mi.training.run_task import prediction_spec, task_kind

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ExportResult:
    """What `export_run` wrote.

    Attributes:
        file, card: the exported model and its model card. megabytes: size of the file.
        check: how closely its predictions match the run's.
        why: why this run was chosen from several; else empty.
    """

    file: Path
    card: Path
    megabytes: float
    check: Verification
    why: str = ""


@dataclass(frozen=True)
class _Trained:
    """A finished run with its weights, in float32 on the CPU."""

    run: RunDir
    config: RunConfig
    record: RunRecord
    spec: DatasetSpec
    task: Task
    method: Classifier | Segmenter

    @property
    def multilabel(self) -> bool:
        return self.task.kind == "multilabel"


def export_run(source: Path, out: Path, *, task: TaskKind | None = None, overwrite: bool = False) -> ExportResult:
    """Write the model of a run, or of a study's best run by validation, to the file `out`.

    The file is kept only if its predictions match the run's, on images of its data set if available. A run without
    calibration is calibrated first.

    Args:
        source: folder of a run or a study.
        task: for a study, consider only runs with this task.
        overwrite: replace an existing file and its model card; that of the same run and name is always replaced.

    Raises:
        S4miError: there is no finished run that makes predictions, the file extension is unknown, the file exists, a
            package is missing, or the predictions do not match.
    """
    check_ending(out)
    if out.exists() and not overwrite:
        raise S4miError(f"{out}: already exists; choose another name, or replace it with --overwrite")
    if out.suffix.lower() == ONNX:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
        for module in ("onnx", "onnxscript", "onnxruntime"):
            require_extra(module, extra="onnx", purpose=f"{out}: writing an ONNX file")
    chosen = select_runs(source, task=task)
    run = chosen.runs[0]
    record = read_record(run)
    ensure_calibrated(run)
    trained = _load(run, record)
    inputs = verification_inputs(trained.run, trained.spec, trained.config.data.preprocessing)
    metadata = _metadata(trained)
    twin = same_in_other_format(out, metadata)
    card = card_of(out, twin)
    check_card(card, out, twin, record, overwrite=overwrite)
    expected = _predict(trained, inputs.pixels, temperature=metadata.temperature)
    with replacing(out) as draft:
        WRITERS[out.suffix.lower()](_deployable(trained, metadata), metadata, draft)
        apart = TREES_APART if any(isinstance(module, Trees) for module in trained.method.modules()) else 0.0
        check = verify_export(load_exported(draft), inputs, expected, name=out, apart=apart)
    others = _other_seeds(source, run, task)
    write_model_card(card, out, run, record, metadata, check, twin=twin, others=others, why=chosen.why)
    return ExportResult(out, card, out.stat().st_size / 1e6, check, chosen.why)


def _load(run: Path, record: RunRecord) -> _Trained:
    """Load the run in float32 on the CPU, whatever it was trained on."""
    run_dir = RunDir(run)
    config = run_dir.config()
    hardware = HardwareConfig(accelerator="cpu", precision="32", threads=config.hardware.threads)
    config = config.model_copy(update={"hardware": hardware})
    spec = prediction_spec(config, load_spec(run))
    kind = task_kind(config, spec)
    size = config.data.image_size
    task = Task(kind=kind, classes=spec.classes_of(kind), image_size=size, counts=(), labelled=0)
    method = load_method(make_runtime(config), config, task, run_dir.best)
    if isinstance(method, FittedClassifier | FittedSegmenter):
        attach(method.extractors, None)  # stored features are rounded, those of the file are not
    return _Trained(run_dir, config, record, spec, task, method)


def _metadata(trained: _Trained) -> ModelMetadata:
    data, record, spec = trained.config.data, trained.record, trained.spec
    clusters = trained.config.method.own_classes
    calibration = read_calibration(trained.run.path)
    fits = calibration is not None and tuple(calibration.classes) == trained.task.classes
    return ModelMetadata(
        task=trained.task.kind,
        classes=trained.task.classes,
        unnamed=bool(clusters) and not trained.config.method.named and trained.task.classes == clusters,
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


def _deployable(trained: _Trained, metadata: ModelMetadata) -> Deployable:
    return Deployable(
        trained.method,
        multilabel=trained.multilabel,
        red_channel_normalisation=metadata.red_channel_normalisation,
        temperature=metadata.temperature,
    )


@torch.inference_mode()
def _predict(trained: _Trained, pixels: Pixels, *, temperature: float) -> tuple[Floats, Floats]:
    """Return the run's probabilities for images (B, S, S, 3), with and without temperature scaling."""
    preprocessing = replace(trained.config.data.preprocessing, resize_through=None, tile=None)
    inputs = torch.stack([torch.from_numpy(preprocessing.image(image)) for image in pixels])
    logits = trained.method.logits(inputs.permute(0, 3, 1, 2).float().div_(255)).float()

    def probabilities(z: Tensor) -> Floats:
        return np.asarray((z.sigmoid() if trained.multilabel else z.softmax(dim=1)).numpy(), dtype=np.float32)

    return probabilities(logits / temperature), probabilities(logits)


def _other_seeds(source: Path, run: Path, task: TaskKind | None) -> tuple[RunRecord, ...]:
    """Return the records of a study's runs with the same technique and other seeds."""
    if source == run:
        return ()
    return tuple(read_record(other) for other in select_runs(source, ensemble=True, task=task).runs if other != run)
