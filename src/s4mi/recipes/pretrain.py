"""Pre-training without labels: the same loop, monitored by the health of the features, not by a validation score.

<run>/encoders/<backbone>.safetensors   the trained encoders, in timm's format
      seen.txt                          hashes of the images it was trained on
      feature_map.json                  2-D projection of the features of training and validation images
      record.json                       the PretrainingRecord
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from s4mi.config.starts import starts_of
from s4mi.contract import Pretrainer
from s4mi.inference.features import feature_map
from s4mi.inference.run_encoder import RunEncoder
from s4mi.nets.backbone import Backbone
from s4mi.nets.weights import save_encoder
from s4mi.records import MAP_NAME, FeatureHealth, FeatureMap, Part, PretrainingRecord, write_text_atomically
from s4mi.training.data_summary import summarise_data
from s4mi.training.feature_stores import feature_store
from s4mi.training.health import FeatureMonitor, backbones
from s4mi.training.installed import git_revision, now, versions
from s4mi.training.pretrained_start import write_seen
from s4mi.training.progress import Progress, ProgressCallback
from s4mi.training.session import Session
from s4mi.training.stored_inputs import pooled_of_rows

MAP_IMAGES = 1000
"""Maximum number of training and validation images on the feature map."""


def pretrain(session: Session, method: Pretrainer, watch: ProgressCallback) -> PretrainingRecord:
    """Train all epochs, check the features every few epochs, and save the final encoders.

    Raises:
        S4miError: the features have collapsed in `health.patience` consecutive checks, or as in `Session.epochs`.
    """
    monitor = FeatureMonitor(session, method)
    session.write_settings()
    if session.fabric.is_global_zero:
        write_seen(session.run_dir.path, session.prepared)
    start = monitor.first_check()
    for epoch in session.epochs(watch):
        due = epoch.epoch % session.config.health.every == 0
        health = monitor.check() if due else None
        session.finish_epoch(epoch.model_copy(update={"health": health}))
        if health is not None:
            monitor.stop_if_collapsed(epoch.epoch, health)
    watch(Progress("export", 0, 1, session.config.epochs, session.config.epochs, session.latest))
    method.before_inference()
    files = {}
    for name, encoder in backbones(method).items():
        if session.fabric.is_global_zero:
            path = save_encoder(encoder.net, session.run_dir.path, name)
            files[name] = path.relative_to(session.run_dir.path).as_posix()
    if session.fabric.is_global_zero:
        name = next(iter(files))
        points = _feature_map(session, name, session.run_dir.path / files[name])
        write_text_atomically(session.run_dir.path / MAP_NAME, points.model_dump_json() + "\n")
    latest = None if session.latest is None else session.latest.health
    return _record(session, files, start=start, end=latest or monitor.check())


def _feature_map(session: Session, name: str, weights: Path) -> FeatureMap:
    """Project the features of training and validation images with UMAP if installed, else PCA; test is left out.

    They are those of the saved encoder and go into the store, where `s4mi embed` and `s4mi suggest` find them.
    """
    config, prepared = session.config, session.prepared
    parts: list[tuple[int, Part]] = [(row, "train") for row in prepared.split.train]
    parts += [(row, "val") for row in prepared.split.val]
    parts = [parts[n] for n in np.unique(np.linspace(0, len(parts) - 1, min(MAP_IMAGES, len(parts))).astype(int))]
    size = config.data.image_size
    network = Backbone(name, image_size=size, weights=str(weights)).to(session.fabric.device).eval()
    encoder = RunEncoder(name, network, weights, image_size=size)
    store = feature_store(config, session.fabric)
    features = pooled_of_rows(store, encoder, prepared.cache, [row for row, _ in parts])
    rows = [prepared.manifest.rows[row] for row, _ in parts]
    return feature_map(
        features,
        ids=[row.id for row in rows],
        parts=[part for _, part in parts],
        labels=[row.labels for row in rows],
        encoder=name,
        projection="umap" if find_spec("umap") is not None else "pca",
        seed=session.config.seed,
    )


def _record(session: Session, files: dict[str, str], *, start: FeatureHealth, end: FeatureHealth) -> PretrainingRecord:
    config, prepared = session.config, session.prepared
    return PretrainingRecord(
        method=config.method.name,
        backbone=config.method.backbone_name,
        starts=starts_of(config.method, config.auto),
        encoders=files,
        dataset=prepared.manifest.spec.name,
        synthetic=prepared.manifest.spec.synthetic,
        images=len(prepared.split.train),
        seed=config.seed,
        config_hash=config.hash,
        split_hash=prepared.split.hash,
        data_hash=prepared.cache.key,
        data=summarise_data(config, prepared),
        epochs=config.epochs,
        start=start,
        end=end,
        cost=session.cost,
        versions=versions(),
        git_revision=git_revision(),
        started=session.started,
        finished=now(),
    )
