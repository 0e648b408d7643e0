"""Answers drawn over the images that they are of."""
