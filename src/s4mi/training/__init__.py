"""Training: data preparation, the session, evaluation, calibration, logging and the run folder."""
