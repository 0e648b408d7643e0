"""The health of pre-training: what its encoders make of training images, looked at every few epochs.

No label takes part, but in the k-NN score where it is asked for; and that score chooses nothing.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from s4mi.contract import Pretrainer
from s4mi.data.loading.loader import PlainBatches
from s4mi.errors import S4miError
from s4mi.maths.feature_health import nearest_neighbours, spread
from s4mi.maths.metrics import score_multiclass, score_multilabel
from s4mi.nets.backbone import Backbone
from s4mi.records import FeatureHealth, read_epochs, write_text_atomically
from s4mi.training.prepare import Prepared
from s4mi.training.session import Session

BATCH = 32
"""Images at a time."""
FIRST_LOOK = "first_look.json"

log = logging.getLogger("s4mi")


class FeatureMonitor:
    """Looks at the features of a run's encoders, and stops the run when they have collapsed.

    Raises:
        S4miError: there is but one image, or the k-NN score is asked for and there are no class labels to vote with.
    """

    def __init__(self, session: Session, method: Pretrainer) -> None:
        self._session, self._method = session, method
        self._settings = session.config.health
        if self._settings.knn:
            _check_knn(session.prepared)
        train = session.prepared.split.train
        if len(train) < 2:
            raise S4miError(f"{session.config.data.path}: pre-training compares images, and there is one; add more")
        chosen = np.unique(np.linspace(0, len(train) - 1, min(self._settings.images, len(train))).astype(int))
        self._rows = [train[number] for number in chosen]
        self._ill = 0  # looks in a row

    def first_look(self) -> FeatureHealth:
        """Before the first step; a resumed run remembers it, and what was seen since."""
        for epoch in read_epochs(self._session.run_dir.path):
            if epoch.health is not None:
                self._ill = self._ill + 1 if epoch.health.collapsed else 0
        path = self._session.run_dir.path / FIRST_LOOK
        if self._session.epoch and path.exists():
            return FeatureHealth.model_validate_json(path.read_text(encoding="utf-8"))
        health = self.look()
        if self._session.fabric.is_global_zero:
            write_text_atomically(path, health.model_dump_json() + "\n")
        return health

    def look(self) -> FeatureHealth:
        """At the features of the chosen images, as they are now."""
        session, encoders = self._session, backbones(self._method)
        spreads = {
            name: spread(features_of(session.fabric, network, session.prepared, self._rows))
            for name, network in {**encoders, **self._method.embedders()}.items()
        }
        knn = {name: self._knn(encoder) for name, encoder in encoders.items()} if self._settings.knn else {}
        self._method.train()
        # To the last bit the same in all processes, so that they stop together.
        return session.fabric.broadcast(FeatureHealth(features=spreads, signals=self._method.signals(), knn=knn))

    def judge(self, epoch: int, health: FeatureHealth) -> None:
        """Warn of collapsed features when they are first seen.

        Raises:
            S4miError: it was the last of `health.patience` looks in a row that saw them.
        """
        if not health.collapsed:
            self._ill = 0
            return
        self._ill += 1
        state, hint = f"epoch {epoch}: {_state(health)}", self._session.config.method.hint
        if 0 < self._settings.patience <= self._ill:
            self._session.save()
            raise S4miError(
                f"{state}, {self._ill} looks in a row; {hint}; or go on all the same with health.patience=0"
            )
        if self._ill == 1:
            log.warning("%s; if it stays so: %s", state, hint)

    def _knn(self, encoder: Backbone) -> float:
        """Macro F1 on validation of the vote of the nearest labelled training images."""
        prepared = self._session.prepared
        labelled, val = list(prepared.split.labelled), prepared.annotated("val")
        references, queries = (features_of(self._session.fabric, encoder, prepared, rows) for rows in (labelled, val))
        shows = torch.from_numpy(prepared.shows)
        votes = nearest_neighbours(queries, references, shows[labelled], neighbours=self._settings.neighbours)
        if prepared.task.kind == "multilabel":
            never = torch.zeros(len(prepared.task.classes), dtype=torch.bool)
            return score_multilabel(votes, shows[val].long(), prepared.task.classes, majority=never).f1_macro
        return score_multiclass(votes, shows[val].long().argmax(dim=1), prepared.task.classes, majority=0).f1_macro


def backbones(method: Pretrainer) -> dict[str, Backbone]:
    """The encoders of a method, which are all of this package's networks."""
    found = {name: encoder for name, encoder in method.encoders().items() if isinstance(encoder, Backbone)}
    assert len(found) == len(method.encoders()), "an encoder that is no Backbone cannot be exported"
    return found


@torch.inference_mode()
def features_of(fabric: Fabric, network: torch.nn.Module, prepared: Prepared, rows: Sequence[int]) -> Tensor:
    """(R, D) float32 features on the CPU, of manifest rows in the given order; those of tiles are averaged.

    The network is left in evaluation mode.
    """
    network.eval()
    entries = prepared.cache.entries_of(rows)
    given, owners = [], []
    for batch in PlainBatches(prepared.source(fabric.device), entries, batch_size=BATCH):
        with fabric.autocast():
            given.append(network(batch.images).float().cpu())
        owners.append(batch.rows)
    features, position = torch.cat(given), torch.searchsorted(torch.tensor(sorted(rows)), torch.cat(owners))
    mean = torch.zeros(len(rows), features.shape[1]).index_add_(0, position, features)
    mean /= torch.bincount(position, minlength=len(rows))[:, None]
    return mean[torch.tensor(rows).argsort().argsort()]


def _state(health: FeatureHealth) -> str:
    """What has collapsed, and how far."""
    name = health.collapsed[0]
    if name == "teacher":
        return f"the teacher gives all images the same answer (entropy {health.signals['teacher_entropy']:.3f} of 1)"
    found = health.features[name]
    return (
        f"the features of {name} have collapsed, all images look alike to it (standard deviation {found.std:.3f} of 1, "
        f"effective rank {found.effective_rank:.1f} of {found.dimensions})"
    )


def _check_knn(prepared: Prepared) -> None:
    if prepared.task.kind == "segmentation" or not prepared.task.classes:
        raise S4miError(
            f"health.knn needs images with class labels, and {prepared.manifest.folder} has none; leave it out"
        )
    if not prepared.annotated("val"):
        raise S4miError(f"health.knn needs labelled validation images, and {prepared.manifest.folder} has none")
