"""One importer per source of images; each writes an ordinary data set folder."""
