"""Studies: many planned runs, the state of each on disk, and the worker pools that train them."""
