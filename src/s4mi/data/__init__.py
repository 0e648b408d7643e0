"""From files on disk to augmented batches on the training device."""
