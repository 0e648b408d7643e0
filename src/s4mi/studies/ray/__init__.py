"""Worker pool on a Ray cluster."""
