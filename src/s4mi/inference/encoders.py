"""The encoder that comes out of a run: one of those a pre-training run left, or the backbone of a classifier."""

from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric
from torch import nn

from s4mi.config import RunConfig
from s4mi.contract import Task
from s4mi.errors import S4miError, nearest
from s4mi.nets.backbone import Backbone
from s4mi.nets.encoder_features import EncoderFeatures
from s4mi.records import PretrainingRecord, RunRecord, read_any_record
from s4mi.training.run_dir import RunDir, load_method


@dataclass(frozen=True)
class Encoder:
    """A trained network without its head, and what the others of the same run are called.

    Attributes:
        network: (B, 3, S, S) in [0, 1] → (B, D), on the fabric's device and in evaluation mode.
    """

    name: str
    others: tuple[str, ...]
    network: nn.Module


def load_encoder(fabric: Fabric, run: Path, *, name: str | None = None) -> Encoder:
    """The encoder `name` of a finished run; its first when None.

    Raises:
        S4miError: no such run or encoder, or a segmentation run.
    """
    record = read_any_record(run)
    names = tuple(record.encoders) if isinstance(record, PretrainingRecord) else (record.backbone,)
    chosen = names[0] if name is None else name
    if chosen not in names:
        raise S4miError(f"{run}: has no encoder {chosen!r}{nearest(chosen, names)}; it has {', '.join(names)}")
    config = RunDir(run).config()
    if isinstance(record, PretrainingRecord):
        weights = run / record.encoders[chosen]
        network: nn.Module = Backbone(chosen, image_size=config.data.image_size, weights=str(weights))
    else:
        network = _backbone(fabric, run, record, config)
    return Encoder(chosen, tuple(other for other in names if other != chosen), network.to(fabric.device).eval())


def load_any_encoder(fabric: Fabric, run: Path) -> nn.Module:
    """`load_encoder`, and of a segmentation run what its network sees of a whole image: (B, 3, S, S) → (B, D).

    Raises:
        S4miError: no such run.
    """
    record = read_any_record(run)
    if isinstance(record, PretrainingRecord) or record.task != "segmentation":
        return load_encoder(fabric, run).network
    config = RunDir(run).config()
    task = Task(
        kind="segmentation", classes=tuple(record.classes), image_size=config.data.image_size, counts=(), labelled=0
    )
    method = load_method(fabric, config, task, RunDir(run).best)
    return EncoderFeatures(method, method.logits, config.data.image_size).eval()


def _backbone(fabric: Fabric, run: Path, record: RunRecord, config: RunConfig) -> nn.Module:
    if record.task == "segmentation":
        raise S4miError(
            f"{run}: is a segmentation run, which makes no features of a whole image; "
            "give a pre-training run or a classifier"
        )
    classes = tuple(record.classes)
    task = Task(kind=record.task, classes=classes, image_size=config.data.image_size, counts=(), labelled=0)
    backbone = getattr(load_method(fabric, config, task, RunDir(run).best), "backbone", None)
    if not isinstance(backbone, Backbone):
        raise S4miError(f"{run}: a {record.method} run has no single backbone; give a run of method finetune")
    return backbone
