"""Whole jobs, read from top to bottom: train, evaluate, predict, demo."""
