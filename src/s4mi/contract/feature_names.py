"""Names and numbers that frozen features, and settings of methods on them, share."""

POOLED = "pooled"
"""Name of the features of a whole image, (B, D). Every extractor for classification has them."""

TURNS = 8
"""Number of views that flips and quarter turns make of a square image, itself included."""
