"""Monitor pre-training: check the features of its encoders for collapse every few epochs.

No labels are used, except for the optional k-NN score, which selects nothing.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from s4mi.contract import Pretrainer
from s4mi.data.loading.loader import PlainBatches
from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.maths.classification_metrics import score_multiclass, score_multilabel
from s4mi.maths.feature_health import nearest_neighbours, spread
from s4mi.nets.backbone import Backbone
from s4mi.records import FeatureHealth, read_epochs, write_text_atomically
from s4mi.training.evaluate import mean_over_tiles
from s4mi.training.prepare import Prepared
from s4mi.training.session import Session

BATCH = 32
"""Images in a forward pass."""
FIRST_CHECK = "first_look.json"

log = logging.getLogger("s4mi")


class FeatureMonitor:
    """Checks the features of a run's encoders, and stops the run when they have collapsed.

    Raises:
        S4miError: there are fewer than 2 training images, or no class labels for the k-NN score that was asked for.
    """

    def __init__(self, session: Session, method: Pretrainer) -> None:
        self._session, self._method = session, method
        self._settings = session.config.health
        if self._settings.knn:
            _check_knn(session.prepared)
        train = session.prepared.split.train
        if len(train) < 2:
            folder = session.config.data.path
            raise S4miError(f"{folder}: pre-training needs at least 2 training images, found {len(train)}; add more")
        chosen = np.unique(np.linspace(0, len(train) - 1, min(self._settings.images, len(train))).astype(int))
        self._rows = [train[number] for number in chosen]
        self._collapsed = 0  # consecutive checks

    def first_check(self) -> FeatureHealth:
        """Return the health before the first step; a resumed run restores it with the collapses found since."""
        for epoch in read_epochs(self._session.run_dir.path):
            if epoch.health is not None:
                self._collapsed = self._collapsed + 1 if epoch.health.collapsed else 0
        path = self._session.run_dir.path / FIRST_CHECK
        if self._session.epoch and path.exists():
            try:
                return FeatureHealth.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise S4miError(f"{path}: damaged; start the run again in another folder") from error
        health = self.check()
        if self._session.fabric.is_global_zero:
            write_text_atomically(path, health.model_dump_json() + "\n")
        return health

    def check(self) -> FeatureHealth:
        """Return the present health of the features of a fixed sample of training images."""
        session, prepared = self._session, self._session.prepared
        labelled, val = (list(prepared.split.labelled), prepared.annotated("val")) if self._settings.knn else ([], [])
        rows = sorted({*self._rows, *labelled, *val})  # an image is encoded once for all that is computed here
        position = {row: number for number, row in enumerate(rows)}
        spreads, knn = {}, {}
        for name, encoder in backbones(self._method).items():
            features = features_of(session.fabric, encoder, prepared, rows)
            spreads[name] = spread(features[[position[row] for row in self._rows]])
            if self._settings.knn:
                of_labelled, of_val = (features[[position[row] for row in part]] for part in (labelled, val))
                knn[name] = self._knn(of_labelled, of_val)
        for name, network in self._method.embedders().items():
            spreads[name] = spread(features_of(session.fabric, network, prepared, self._rows))
        self._method.train()
        # Identical to the bit in all processes, so that they stop together.
        return session.fabric.broadcast(FeatureHealth(features=spreads, signals=self._method.signals(), knn=knn))

    def stop_if_collapsed(self, epoch: int, health: FeatureHealth) -> None:
        """Warn when the features have collapsed, and stop when they remain so.

        Raises:
            S4miError: the last `health.patience` checks all found collapsed features.
        """
        if not health.collapsed:
            self._collapsed = 0
            return
        self._collapsed += 1
        state, hint = f"epoch {epoch}: {_state(health)}", self._session.config.method.hint
        if 0 < self._settings.patience <= self._collapsed:
            self._session.save()
            checks = plural(self._collapsed, "consecutive check")
            raise S4miError(f"{state}, in {checks}; {hint}; or continue anyway with health.patience=0")
        if self._collapsed == 1:
            log.warning("%s; if this persists: %s", state, hint)

    def _knn(self, references: Tensor, queries: Tensor) -> float:
        """Validation macro F1 of a k-nearest-neighbour vote among the labelled training images, from their features."""
        prepared = self._session.prepared
        labelled, val = list(prepared.split.labelled), prepared.annotated("val")
        truth = torch.from_numpy(prepared.truth(val))
        of_references = torch.from_numpy(prepared.truth(labelled))
        rate = (of_references == 1).sum(dim=0) / (of_references >= 0).sum(dim=0).clamp_min(1)
        shows = torch.where(of_references >= 0, of_references, rate)  # an unknown label votes for neither side
        votes = nearest_neighbours(queries, references, shows, neighbours=self._settings.neighbours)
        if prepared.task.kind == "multilabel":
            never = torch.zeros(len(prepared.task.classes), dtype=torch.bool)
            return score_multilabel(votes, truth, prepared.task.classes, majority=never).f1_macro
        return score_multiclass(votes, truth.argmax(dim=1), prepared.task.classes, majority=0).f1_macro


def backbones(method: Pretrainer) -> dict[str, Backbone]:
    """Return the encoders of a method by name; only a `Backbone` can be saved."""
    found = {name: encoder for name, encoder in method.encoders().items() if isinstance(encoder, Backbone)}
    assert len(found) == len(method.encoders()), "only an encoder that is a Backbone can be saved"
    return found


@torch.inference_mode()
def features_of(fabric: Fabric, network: torch.nn.Module, prepared: Prepared, rows: Sequence[int]) -> Tensor:
    """Return (R, D) float32 features on the CPU, in the order of the R manifest rows; tiles of an image are averaged.

    The network is left in evaluation mode.
    """
    network.eval()
    entries = prepared.cache.entries_of(rows)
    of_tiles, row_of_tile = [], []
    for batch in PlainBatches(prepared.source(fabric.device), entries, batch_size=BATCH):
        with fabric.autocast():
            of_tiles.append(network(batch.images).float().cpu())
        row_of_tile.append(batch.rows)
    mean = mean_over_tiles(torch.cat(of_tiles), torch.cat(row_of_tile), sorted(rows))
    return mean[torch.tensor(rows).argsort().argsort()]  # in the order of `rows` again


def _state(health: FeatureHealth) -> str:
    """Describe what has collapsed, with the numbers that show it."""
    name = health.collapsed[0]
    if name == "teacher":
        return f"the teacher's output is the same for all images (entropy {health.signals['teacher_entropy']:.3f} of 1)"
    found = health.features[name]
    return (
        f"the features of {name} have collapsed and barely differ between images (standard deviation {found.std:.3f} "
        f"of 1, effective rank {found.effective_rank:.1f} of {found.dimensions})"
    )


def _check_knn(prepared: Prepared) -> None:
    if prepared.task.kind == "segmentation" or not prepared.task.classes:
        raise S4miError(f"health.knn needs images with class labels, and {prepared.manifest.folder} has none; omit it")
    if not prepared.annotated("val"):
        raise S4miError(
            f"health.knn needs labelled validation images, and {prepared.manifest.folder} has none; omit it"
        )
