"""Image file formats: one module per family, each of which reads a `Header` and the frames of a file."""
