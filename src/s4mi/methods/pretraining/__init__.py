"""Methods that pre-train backbones on images without labels (self-supervision)."""
