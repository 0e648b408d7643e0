"""Settings of the methods that classify images."""
