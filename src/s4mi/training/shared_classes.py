"""Classes that a run shares with an external test set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.records import IGNORE


@dataclass(frozen=True, eq=False)
class SharedClasses:
    """The classes of a run that another data set has too.

    Attributes:
        names: their names, in the order of the run; for segmentation with the background first.
        index: (K,) position in `names` of each class of the run; of a class that the other does not have, 0, which is
            the background of masks, and -1 for images.
    """

    names: tuple[str, ...]
    index: NDArray[np.int64]

    def of_masks(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) classes of the run, or `IGNORE` → positions in `names`, or `IGNORE`."""
        table = np.full(IGNORE + 1, IGNORE, dtype=np.uint8)
        table[: len(self.index)] = self.index
        return np.asarray(table[classes], dtype=np.uint8)
