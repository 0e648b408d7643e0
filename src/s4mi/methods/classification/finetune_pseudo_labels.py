"""Fine-tuning with pseudo-labels (Lee 2013; strong views as in FixMatch, Sohn et al. 2020).

    x, y           (B, 3, H, W) labelled images and their labels: (B,) classes, or (B, K) 0/1 for multi-label tasks
    w, s           (U, 3, H, W) other training images in a weak view and in a strong one, of the same geometry
    z, z_s         W · backbone(x) + b, W · backbone(s) + b                (B, K), (U, K) logits
    q              teacher(w)                                              (U, K) logits
    ŷ              argmax q where max softmax(q) ≥ t_k of its class k, else ignored; of sigmoids both sides
    supervised     CE(z, y)
    pseudo_label   λ CE(z_s, ŷ), divided by the number of all images, not only of those that are kept

teacher=frozen: a logistic regression on the backbone's features as training begins, fitted to views of the labelled
images; its strength and t_k are chosen by folds of their patients, t_k so that the kept predictions have the wanted
precision. teacher=network: the network itself at the start of a round; in the first there are no pseudo-labels. t_k is
`confidence`, or keeps as large a share of the predictions of each class (`keep`), so that rare classes are kept too.
"""

import copy
import logging
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s4mi.contract import (
    Batch,
    Batches,
    Classifier,
    Losses,
    Task,
    TrainState,
)
from s4mi.maths.distributed import from_all_processes, from_first_process, mean_over_images
from s4mi.maths.folds import folds
from s4mi.maths.logistic import LogisticProblem
from s4mi.maths.losses import class_weights, cross_entropy, multilabel_cross_entropy, positive_weights
from s4mi.methods.class_pseudo_labels import NEVER, balanced_thresholds, held_out_thresholds, kept_labels
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.tuning import EncoderTuning
from s4mi.records import IGNORE
from s4mi.settings.classification.finetune_pseudo_labels import FinetunePseudoLabelsConfig

STRENGTH = 0.03
"""λ of the frozen teacher's penalty where there are no folds, such as with one image of each class."""
MOST_VIEWS = 2000
"""Views of labelled images that the frozen teacher is fitted to at most."""

Floats = NDArray[Any]

log = logging.getLogger("s4mi")


@final
class Teacher(nn.Module):
    """A copy of a network that is not trained: (U, 3, H, W) → (U, K) logits, always in evaluation mode."""

    def __init__(self, backbone: Backbone, head: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.head = copy.deepcopy(backbone), copy.deepcopy(head)
        self.requires_grad_(False)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """(U, 3, H, W) → (U, D)."""
        self.eval()
        features: Tensor = self.backbone(images)
        return features.float()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        z: Tensor = self.head(self.features(images))
        return z.float()


@final
class FinetunePseudoLabels(Classifier):
    """A backbone with a linear head, and the teacher that labels further images; both are in checkpoints."""

    config: FinetunePseudoLabelsConfig
    weight: Tensor | None
    thresholds: Tensor
    progress: Tensor
    round: Tensor

    def __init__(self, config: FinetunePseudoLabelsConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task, self.classes = config, task, len(task.classes)
        self.multilabel = task.kind == "multilabel"
        check_backbone(config.backbone)
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=weights)
        self.tuning = EncoderTuning(self.backbone, config, name=config.backbone, image_size=task.image_size)
        self.head = nn.Linear(self.backbone.features, self.classes)
        self.teacher = Teacher(self.backbone, self.head)
        shape = (self.classes, 2) if self.multilabel else (self.classes,)
        self.register_buffer("thresholds", torch.full(shape, NEVER))
        self.register_buffer("progress", torch.zeros(()))
        self.register_buffer("round", torch.zeros((), dtype=torch.int64))
        if self.multilabel:
            weight = positive_weights(task.counts, task.known or task.labelled, config.class_weights)
        else:
            weight = class_weights(task.counts, config.class_weights)
        self.register_buffer("weight", weight, persistent=False)
        self._strength = config.strength(0.0)

    def before_epoch(self, batches: Batches) -> None:
        """Fit the frozen teacher before the first epoch, or begin the round of the network that is due."""
        self.tuning.before_epoch()
        if self.config.teacher == "frozen":
            if self.config.unlabelled_weight and bool((self.thresholds == NEVER).all()):
                self._fit_teacher(batches)
            return
        due = min(int(float(self.progress) * self.config.rounds + 1e-6), self.config.rounds - 1)
        if due > int(self.round):
            self.round.fill_(due)
            self.teacher.backbone.load_state_dict(self.backbone.state_dict())
            self.teacher.head.load_state_dict(self.head.state_dict())
            self.thresholds.copy_(self._thresholds_of_round(batches))

    def before_step(self, state: TrainState) -> None:
        self.tuning.before_step(state)
        self._strength = self.config.strength(state.progress)

    def after_backward(self, state: TrainState) -> None:
        self.tuning.after_backward()

    def after_step(self, state: TrainState) -> None:
        self.progress.fill_(state.progress)

    def before_inference(self) -> None:
        self.tuning.before_inference(self)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.head(self.backbone(images))
        return z

    def loss(self, batch: Batch) -> Losses:
        y = batch.known_labels
        w, s = batch.known_unlabelled.chunk(2)
        z, z_s = self.logits(torch.cat([batch.images, s])).tensor_split([len(y)])
        labels = kept_labels(self.teacher(w), self.thresholds, multilabel=self.multilabel)
        known = labels != IGNORE
        if self.multilabel:
            supervised = multilabel_cross_entropy(z, y, self.weight)
            pseudo = multilabel_cross_entropy(z_s, torch.where(known, labels.to(z_s.dtype), torch.nan))
        else:
            supervised, pseudo = cross_entropy(z, y, self.weight), cross_entropy(z_s, labels)
        return Losses(
            supervised=supervised, pseudo_label=self._strength * pseudo * mean_over_images(known.to(pseudo.dtype))
        )

    def _thresholds_of_round(self, batches: Batches) -> Tensor:
        """Thresholds for the teacher's predictions on an epoch of images without labels."""
        if self.config.keep is None:
            return torch.full_like(self.thresholds, self.config.confidence)
        weak = [batch.known_unlabelled.chunk(2)[0] for batch in batches]
        z = torch.cat([from_all_processes(self.teacher(images)) for images in weak])
        return balanced_thresholds(z, multilabel=self.multilabel, keep=self.config.keep)

    def _fit_teacher(self, batches: Batches) -> None:
        """Fit the teacher's head to views of the labelled images, and choose what is kept by folds of these."""
        with torch.autocast(self.thresholds.device.type, enabled=False):
            patients, features, labels = self._labelled(batches)
        # In float64 on the CPU, as the heads of frozen features are fitted.
        std, mean = np.std(features, axis=0), features.mean(axis=0)
        scale = np.where(std > 1e-6, 1 / (np.maximum(std, 1e-12) * features.shape[1] ** 0.5), 0.0)
        problem = LogisticProblem(
            (features - mean) * scale, labels, classes=None if self.multilabel else self.classes,
            multilabel=self.multilabel,
        )  # fmt: skip
        held_out = folds(labels, patients, generator=np.random.default_rng(0))
        strength = STRENGTH
        if held_out:
            path, known = problem.path(held_out), np.concatenate(held_out)
            strength = path.strength
            thresholds, share = held_out_thresholds(
                path.logits[path.best][known], labels[known], multilabel=self.multilabel, keep=self.config.keep,
                precision=self.config.precision,
            )  # fmt: skip
            self.thresholds.copy_(thresholds)
            log.info("pseudo-labels: %.0f %% of the predictions of each class are kept", 100 * share)
        else:
            log.warning("no pseudo-labels, as no label can be held out to judge them; label more images")
            self.thresholds.fill_(2 * NEVER)
        fit = problem.fit(strength)
        weight = torch.from_numpy(fit.weight * scale)
        self.teacher.head.weight.copy_(weight)
        self.teacher.head.bias.copy_(torch.from_numpy(fit.bias - fit.weight @ (mean * scale)))
        for tensor in (*self.teacher.head.parameters(), self.thresholds):
            tensor.copy_(from_first_process(tensor))

    def _labelled(self, batches: Batches) -> tuple[Floats, Floats, Floats]:
        """Patients (N,), features (N, D) and labels (N,) or (N, K) of at most `MOST_VIEWS` views of labelled images."""
        parts: list[list[Tensor]] = []
        for batch in batches:
            y = batch.known_labels
            features = self.teacher.features(batch.images)
            rows = batch.rows[: len(y)].to(y.device)
            parts.append([from_all_processes(each) for each in (rows, features, y)])
            if sum(len(part[0]) for part in parts) >= MOST_VIEWS:
                break
        rows, features, labels = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
        return np.array(self.task.patients_of(rows.tolist())), features.double().numpy(), labels.numpy()
