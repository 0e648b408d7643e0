"""From a run to a file that other programs read."""
