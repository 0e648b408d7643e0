"""Contact sheets and comparison sheets of images, overlays and clusters."""
