"""Methods that segment images."""
