"""Dataset splits and label fractions, their files, and checks for leakage and balance."""
