"""Methods that classify images."""
