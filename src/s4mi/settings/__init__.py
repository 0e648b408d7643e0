"""The settings of each method, and of the optimiser: what a run file can say, known without torch."""
