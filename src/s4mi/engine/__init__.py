"""Training loop, optimisers, checkpoints and inference, shared by all methods."""
