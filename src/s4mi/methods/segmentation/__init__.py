"""What labels each pixel."""
