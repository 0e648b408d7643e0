"""Scores of classification, and how absent classes and unknown labels count; the tests' oracle is torchmetrics."""

from collections.abc import Sequence

import torch
from torch import Tensor

from s4mi.maths.calibration import THRESHOLD, calibration_error
from s4mi.maths.stats import mean_of_known
from s4mi.records import ClassificationScores, ClassScores


def score_multiclass(
    probabilities: Tensor, truth: Tensor, classes: Sequence[str], *, majority: int
) -> ClassificationScores:
    """Score (N, K) probabilities against (N,) int64 truth; `majority` is the most frequent labelled training class."""
    k = len(classes)
    predicted = probabilities.argmax(dim=1)
    confusion = torch.bincount(truth * k + predicted, minlength=k * k).view(k, k)
    support, correct = confusion.sum(dim=1), confusion.diagonal()
    per_class = _per_class(_one_hot(predicted, k), probabilities, _one_hot(truth, k), classes)
    recall = float((correct / support)[support > 0].mean())
    accuracy = int(correct.sum()) / max(len(truth), 1)
    return ClassificationScores(
        images=len(truth),
        f1_micro=accuracy,  # with one class per image, a false positive is another's false negative
        f1_macro=_f1_macro(per_class),
        recall_micro=accuracy,
        recall_macro=recall,
        balanced_accuracy=recall,
        auroc=mean_of_known([scores.auroc for scores in per_class.values()]),
        average_precision=mean_of_known([scores.average_precision for scores in per_class.values()]),
        calibration_error=_calibration_error(probabilities, truth, multilabel=False),
        majority_f1_macro=_f1_macro(
            _per_class(_one_hot(torch.full_like(truth, majority), k), None, _one_hot(truth, k), classes)
        ),
        per_class=per_class,
        confusion=confusion.tolist(),
    )


def score_multilabel(
    probabilities: Tensor, truth: Tensor, classes: Sequence[str], *, majority: Tensor
) -> ClassificationScores:
    """Score (N, K) probabilities, thresholded at 1/2, against (N, K) 0/1 truth, of which -1 is unknown and left out.

    Balanced accuracy is the mean of sensitivity and specificity, averaged over classes.

    Args:
        majority: (K,) whether most labelled training images have each class.
    """

    labels = truth.long()
    predicted = (probabilities > THRESHOLD).long()
    per_class = _per_class(predicted, probabilities, labels, classes)
    seen, missed = predicted == 1, predicted == 0
    counts = torch.stack(
        [(missed & (labels == 0)).sum(0), (seen & (labels == 0)).sum(0),
         (missed & (labels == 1)).sum(0), (seen & (labels == 1)).sum(0)], dim=1,
    )  # fmt: skip
    tn, fp, fn, tp = counts.double().unbind(1)
    all_tp, all_wrong = float(tp.sum()), float((fp + fn).sum())
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return ClassificationScores(
        images=len(labels),
        f1_micro=2 * all_tp / (2 * all_tp + all_wrong) if all_tp + all_wrong else 0.0,
        f1_macro=_f1_macro(per_class),
        recall_micro=all_tp / float((tp + fn).sum()) if all_tp else 0.0,
        recall_macro=mean_of_known(sensitivity.tolist()) or 0.0,
        balanced_accuracy=mean_of_known(((sensitivity + specificity) / 2).tolist()) or 0.0,
        auroc=mean_of_known([scores.auroc for scores in per_class.values()]),
        average_precision=mean_of_known([scores.average_precision for scores in per_class.values()]),
        calibration_error=_calibration_error(probabilities, labels, multilabel=True),
        majority_f1_macro=_f1_macro(_per_class(majority.long().expand_as(labels), None, labels, classes)),
        per_class=per_class,
        confusion=counts.tolist(),
    )


def _calibration_error(probabilities: Tensor, truth: Tensor, *, multilabel: bool) -> float:
    """As `calibration.json` has it: another library's bin edges, which differ in the last bit, give another number."""
    arrays = probabilities.detach().cpu().float().numpy(), truth.cpu().numpy()
    return calibration_error(*arrays, multilabel=multilabel)


def _per_class(
    predicted: Tensor, probabilities: Tensor | None, truth: Tensor, classes: Sequence[str]
) -> dict[str, ClassScores]:
    """Scores of each class against the rest, from (N, K) 0/1 predictions and truth, of which -1 is unknown."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # slow to import, and not needed to train

    scores = {}
    for k, name in enumerate(classes):
        known = truth[:, k] >= 0
        p, t = predicted[known, k], truth[known, k]
        scored = None if probabilities is None else probabilities[known, k].numpy(force=True)
        tp, support, positives = int((p & t).sum()), int(t.sum()), int(p.sum())
        ranked = None if scored is None or not 0 < support < len(t) else (t.numpy(force=True), scored)
        scores[name] = ClassScores(
            support=support,
            f1=2 * tp / (support + positives) if support + positives else None,
            recall=tp / support if support else None,
            precision=tp / positives if positives else None,
            auroc=None if ranked is None else float(roc_auc_score(*ranked)),
            average_precision=None if ranked is None else float(average_precision_score(*ranked)),
        )
    return scores


def _f1_macro(per_class: dict[str, ClassScores]) -> float:
    """Mean F1 of the classes that occur or were predicted; 2TP / (2TP + FP + FN) of others is 0 / 0."""
    return mean_of_known([scores.f1 for scores in per_class.values()]) or 0.0


def _one_hot(indices: Tensor, k: int) -> Tensor:
    return torch.nn.functional.one_hot(indices, k)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp_min(1), torch.nan)
