"""What labels an image."""
