"""Machine supervision for medical imaging: many images, few labels."""

__version__ = "0.1.0"
