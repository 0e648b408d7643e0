"""Writers of predictions: every file is complete or absent, so that an interrupted prediction can be resumed."""
