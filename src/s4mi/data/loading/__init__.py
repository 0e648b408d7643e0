"""Batches from disk: decode cache, augmentation, loaders, tiles and sliding windows."""
