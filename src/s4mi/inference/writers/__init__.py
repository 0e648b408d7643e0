"""The files that answers become, each whole or not there, so that a killed prediction goes on where it was."""
