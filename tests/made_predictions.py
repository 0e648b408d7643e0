"""Made-up predictions of a classification run on test images."""

import numpy as np

from s4mi.records import Predictions


def predictions_of(truth: str, given: str, *, groups: str = "", images: str = "", classes: str = "abc") -> Predictions:
    """Each letter a class; an image each."""
    shown, decided = (np.array([[c == name for name in classes] for c in letters]) for letters in (truth, given))
    return Predictions(
        images=tuple(images or [f"i{n}" for n in range(len(truth))]),
        groups=tuple(groups) or (None,) * len(truth),
        classes=tuple(classes),
        truth=shown,
        probabilities=np.where(decided, 0.8, 0.1),
        decisions=decided,
    )
