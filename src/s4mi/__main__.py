"""`python -m s4mi` is `s4mi`."""

from s4mi.cli import main

main()
