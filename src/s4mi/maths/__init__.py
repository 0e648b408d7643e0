"""Pure functions: losses, metrics, statistics."""
