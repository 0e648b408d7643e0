"""Importers of images, one per kind of source; each creates an ordinary data set folder."""
