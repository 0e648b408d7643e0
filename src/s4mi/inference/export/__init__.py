"""Export a run as a file that other programs read."""
