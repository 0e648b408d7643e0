"""Names of files that a run leaves for those who go on with it, known without the torch that reads them."""

LAST = "last.safetensors"
BEST = "best.safetensors"
TRAINING = "training.pt"
"""The files of a checkpoint; see `engine/checkpoint.py`."""
PRETRAINING = "pretraining.json"
"""Which pre-training a run started from."""
