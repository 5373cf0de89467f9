"""One file a physics dataset; each exposes `TASK`."""
