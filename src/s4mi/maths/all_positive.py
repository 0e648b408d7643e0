"""Macro F1 of predicting every class that occurs for every image: the baseline without training of multi-label tasks.

Of all predictions that do not look at the image, this one has the best F1 (Lipton, Elkan and Naryanaswamy 2014, Optimal
Thresholding of Classifiers to Maximize F1 Measure): 2p / (1 + p) for a class that a share p of the images shows. A
class that no image shows is not predicted, and left out of the mean as everywhere. Predicting the majority, which is no
class wherever p is below one half, scores 0 and tells nothing.
"""

from collections.abc import Sequence


def all_positive_f1_macro(confusion: Sequence[Sequence[int]]) -> float:
    """Return it from a row [TN, FP, FN, TP] per class, of the known labels; 0 if no class occurs."""
    scores = [2 * (fn + tp) / (tn + fp + 2 * (fn + tp)) for tn, fp, fn, tp in confusion if fn + tp]
    return sum(scores) / len(scores) if scores else 0.0
