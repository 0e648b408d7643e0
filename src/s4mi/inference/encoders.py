"""Load the encoder of a finished run: one saved by a pre-training run, the backbone of a classifier, or its features.

A head that is fitted to features has no backbone of its own: its encoder is the first of its extractors.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from s4mi.config import RunConfig
from s4mi.contract import Extractor, FittedClassifier, FittedSegmenter, Task
from s4mi.engine.runtime import Runtime
from s4mi.errors import S4miError, nearest
from s4mi.inference.run_encoder import RunEncoder
from s4mi.nets.backbone import Backbone
from s4mi.nets.classical_features import ClassicalFeatures
from s4mi.nets.encoder_features import EncoderFeatures
from s4mi.records import PretrainingRecord, RunRecord, read_any_record
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method


@dataclass(frozen=True)
class Encoder:
    """A trained network without its head.

    Attributes:
        others: names of the other encoders of the same run.
        network: (B, 3, S, S) in [0, 1] → (B, D), or an extractor; on the runtime's device and in evaluation mode.
        weights: file of its weights.
        image_size: S.
    """

    name: str
    others: tuple[str, ...]
    network: nn.Module
    weights: Path
    image_size: int

    @property
    def extractor(self) -> Extractor:
        """The encoder as an extractor, for a store of features."""
        if isinstance(self.network, Extractor):
            return self.network
        return RunEncoder(self.name, self.network, self.weights, image_size=self.image_size)


def load_encoder(runtime: Runtime, run: Path, *, name: str | None = None) -> Encoder:
    """Load the encoder `name` of a finished run; its first one if None.

    Raises:
        S4miError: the run or the encoder does not exist, or it is a segmentation run.
    """
    record = read_any_record(run)
    names = tuple(record.encoders) if isinstance(record, PretrainingRecord) else (record.backbone,)
    selected = names[0] if name is None else name
    if selected not in names:
        raise S4miError(f"{run}: unknown encoder {selected!r}{nearest(selected, names)}; available: {', '.join(names)}")
    config = RunDir(run).config()
    if isinstance(record, PretrainingRecord):
        weights = run / record.encoders[selected]
        network: nn.Module = Backbone(selected, image_size=config.data.image_size, weights=str(weights))
    else:
        weights = RunDir(run).best
        network = _backbone(runtime, run, record, config)
    others = tuple(other for other in names if other != selected)
    return Encoder(selected, others, network.to(runtime.device).eval(), weights, config.data.image_size)


def load_any_encoder(runtime: Runtime, run: Path) -> Encoder:
    """Load the encoder of any run; of a segmentation run, the pooled deepest features: (B, 3, S, S) → (B, D).

    A segmenter without a network has colour, texture and shape of whole images instead.

    Raises:
        S4miError: the run does not exist.
    """
    record = read_any_record(run)
    if isinstance(record, PretrainingRecord) or record.task != "segmentation":
        return load_encoder(runtime, run)
    config = RunDir(run).config()
    task = Task(
        kind="segmentation", classes=tuple(record.classes), image_size=config.data.image_size, counts=(), labelled=0
    )
    method = load_method(runtime, config, task, RunDir(run).best)
    network: nn.Module
    if isinstance(method, FittedSegmenter):
        network = method.extractors[0] if method.extractors else ClassicalFeatures()
    else:
        network = EncoderFeatures(method, method.logits, config.data.image_size).eval()
    return Encoder(record.backbone, (), network, RunDir(run).best, config.data.image_size)


def _backbone(runtime: Runtime, run: Path, record: RunRecord, config: RunConfig) -> nn.Module:
    if record.task == "segmentation":
        raise S4miError(
            f"{run}: a segmentation run has no features of whole images; use a pre-training run or a classifier"
        )
    classes = tuple(record.classes)
    task = Task(kind=record.task, classes=classes, image_size=config.data.image_size, counts=(), labelled=0)
    method = load_method(runtime, config, task, RunDir(run).best)
    if isinstance(method, FittedClassifier):
        return method.extractors[0]
    backbone = getattr(method, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise S4miError(f"{run}: a {record.method} run has no single backbone; use a run of method finetune")
    return backbone
