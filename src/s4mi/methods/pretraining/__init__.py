"""Self-supervised pre-training: learn from images alone."""
