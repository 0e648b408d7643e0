"""Which images are worth annotating next."""
