"""Settings of the methods that pre-train backbones on images without labels (self-supervision)."""
