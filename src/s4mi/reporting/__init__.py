"""Tables, figures and pages, made from run records alone."""
