"""The loop, the optimiser, checkpoints and inference, shared by every method."""
