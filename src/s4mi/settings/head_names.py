"""Names of the heads that are fitted to frozen features."""

from typing import Literal

HeadName = Literal["logistic", "ridge", "knn", "prototype"]
