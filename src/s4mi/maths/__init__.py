"""Pure functions: losses, metrics, statistics, clustering."""
