"""Mixup as a method for s4mi; `mixup.py` is all of it."""
