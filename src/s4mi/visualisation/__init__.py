"""Sheets of images side by side, for a person to look at."""
