"""Methods, one per file: the formula, the settings, then the class."""
