"""Active learning: choose the images that are most worth annotating next."""
