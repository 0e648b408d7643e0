"""Faster layers for CPUs: matmul convolution, narrow batch normalisation and conv/batch-norm folding."""
