"""Load trained models and predict: runs, exported files and ensembles, with all their inputs and outputs."""
