"""One file a model family; each exposes `MODEL`."""
