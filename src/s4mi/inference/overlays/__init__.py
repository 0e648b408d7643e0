"""Overlays: masks and saliency maps drawn over their images."""
