"""A frozen teacher (after Lee 2013 and Oquab et al. 2024): pseudo-labels of light heads on a frozen encoder.

    x, y           (B, 3, H, W) labelled images and their (B, H, W) masks
    w, s           (U, 3, H, W) unlabelled images in a weak view and in a strong one, of the same geometry
    p, p_s         student(x), student(s)                     (B, K, H, W), (U, K, H, W) logits
    q              teacher(w)                                 (U, K, H, W) logits
    ŷ              argmax q where max softmax(q) ≥ t_k of its class k, else ignored
    supervised     ½ [Dice(p, y) + CE(p, y)]
    pseudo_label   λ ½ [Dice(p_s, ŷ) + CE(p_s, ŷ)]

The teacher is fitted before the first epoch, to the run's own images with masks and to nothing else. It is the mean of
one head for each fold of their patients, fitted to the other folds, so that each image has predictions of a head that
has not seen its patient. Of these, as large a share of each class as reaches the wanted precision is kept, the most
probable ones; t_k is the least probability kept.

Validation chooses student, teacher or the average of their probabilities for prediction, as the student may not reach
its teacher within the run's steps.
"""

import logging
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Batch, Batches, Losses, SemiSupervised, Task
from s4mi.maths.distributed import from_all_processes, from_first_process
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import class_thresholds, confident, largest_share
from s4mi.maths.segmentation_metrics import confusion, scores_of_confusion
from s4mi.methods.cross_fitting import HeldOut, LabelledViews, fit_to_folds
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.frozen_net import FrozenNet
from s4mi.nets.networks import network_for
from s4mi.nets.segmentation import log_padding
from s4mi.nets.token_decoder import TokenDecoder
from s4mi.nets.token_linear import TokenLinear
from s4mi.nets.tuned_networks import tune_networks
from s4mi.records import IGNORE
from s4mi.settings.segmentation.frozen_teacher import FrozenTeacherConfig

SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
"""Shares of the pixels of each predicted class to choose from."""
MOST_VIEWS = 400
"""Views of images with masks that the teacher is fitted to at most: some 300 MB for a ViT-S at 224 pixels."""

log = logging.getLogger("s4mi")


@final
class FrozenTeacher(SemiSupervised):
    """A student and its teacher; both are in checkpoints, and a resumed run keeps its teacher."""

    config: FrozenTeacherConfig
    weight: Tensor | None
    thresholds: Tensor
    on_folds: Tensor

    def __init__(self, config: FrozenTeacherConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task, self.classes = config, task, len(task.classes)
        student = network_for(task, config.network, config.weights)
        self.tunings = tune_networks({config.network: student}, config, task)
        teacher = FrozenNet(
            config.teacher,
            classes=self.classes,
            image_size=task.image_size,
            weights=config.teacher_weights,
            head=config.teacher_head,
            heads=config.folds,
        ).requires_grad_(False)
        log_padding(task.image_size, teacher.stride)
        self.committee = NetworkEnsemble({"student": student, "teacher": teacher}, default="student")
        # No probability reaches 2: a teacher that is not fitted gives no pseudo-labels.
        self.register_buffer("thresholds", torch.full((self.classes,), 2.0))
        self.register_buffer("on_folds", torch.zeros(2))
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    @property
    def student(self) -> nn.Module:
        """The network that is trained."""
        return self.committee["student"]

    @property
    def teacher(self) -> FrozenNet:
        """The network that makes pseudo-labels."""
        teacher = self.committee["teacher"]
        assert isinstance(teacher, FrozenNet)
        return teacher

    @property
    def members(self) -> NetworkEnsemble | None:
        return self.committee if self.config.predicts == "best" else None

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.committee(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = batch.images, batch.known_masks
        w, s = batch.known_unlabelled.chunk(2)
        p, p_s = self.student(torch.cat([x, s])).tensor_split([len(y)])
        supervised = dice_cross_entropy(p, y, self.weight)
        pseudo_label = dice_cross_entropy(p_s, self._pseudo_labels(w))
        return Losses(supervised=supervised, pseudo_label=self.strength * pseudo_label)

    @torch.no_grad()
    def _pseudo_labels(self, w: Tensor) -> Tensor:
        """(U, 3, H, W) images → (U, H, W) classes predicted by the teacher, `IGNORE` where it is not sure enough."""
        return confident(self.teacher.eval()(w), self.thresholds)

    def signals(self) -> dict[str, float]:
        """Dice of the teacher's heads on the masks of their folds, and the share of its predictions that is kept."""
        dice, kept = self.on_folds.tolist()
        return {"teacher_dice": dice, "kept": kept}

    def before_epoch(self, batches: Batches) -> None:
        """Fit the teacher to the views of images with masks in the first epoch, unless a checkpoint holds it."""
        super().before_epoch(batches)
        if bool((self.thresholds <= 1).all()):
            return
        with torch.autocast(self.thresholds.device.type, enabled=False):
            data = self._labelled(batches)
            heads = [head for head in self.teacher.heads if isinstance(head, TokenDecoder | TokenLinear)]
            held_out = fit_to_folds(heads, data, classes=self.classes, steps=self.config.teacher_steps)
            self._choose_thresholds(held_out)
        for tensor in (*self.teacher.heads.parameters(), *self.teacher.heads.buffers(), self.thresholds, self.on_folds):
            tensor.copy_(from_first_process(tensor))

    @torch.no_grad()
    def _labelled(self, batches: Batches) -> LabelledViews:
        """At most `MOST_VIEWS` views of images with masks, the same in all processes."""
        self.teacher.eval()
        parts, views = [], 0
        for batch in batches:
            y = batch.known_masks
            features = self.teacher.encode(batch.images)
            below, right = (whole - side for whole, side in zip(features[0].shape[-2:], y.shape[-2:], strict=True))
            masks = F.pad(y, (0, right, 0, below), value=IGNORE)
            rows = batch.rows[: len(y)].to(y.device)
            parts.append([from_all_processes(each) for each in (rows, masks, *(level.half() for level in features))])
            views += len(parts[-1][0])
            if views >= MOST_VIEWS:
                break
        rows, masks, *features = (torch.cat(each) for each in zip(*parts, strict=True))
        patients = torch.tensor(self.task.patients_of(rows.tolist()), device=rows.device)
        return LabelledViews(patients, masks, tuple(features))

    def _choose_thresholds(self, held_out: HeldOut) -> None:
        """Choose the least probabilities of pseudo-labels; all are kept if no prediction is held out."""
        p, predicted, true = held_out.p, held_out.predicted, held_out.true
        if not len(p):
            log.warning("frozen_teacher: the masks are of a single patient; all pseudo-labels are kept")
            self.thresholds.zero_()
            return
        keep = self.config.keep or largest_share(
            p, predicted, true, classes=self.classes, precision=self.config.precision, shares=SHARES
        )
        dice = scores_of_confusion(confusion(predicted, true, self.classes).cpu().numpy())["dice"]
        self.thresholds.copy_(class_thresholds(p, predicted, classes=self.classes, keep=keep))
        self.on_folds.copy_(torch.tensor([dice, keep]))
        log.info("frozen_teacher: Dice %.3f on held-out masks, %.0f %% of each class kept", dice, 100 * keep)
