"""Settings of the methods that segment images."""
