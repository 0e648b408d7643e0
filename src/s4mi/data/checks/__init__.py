"""Checks of a data set: `scan` opens the files of every row once, and each other module checks one kind of problem."""
