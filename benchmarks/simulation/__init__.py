"""The generators, one file a detector or process."""
