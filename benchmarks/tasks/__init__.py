"""One file per physics dataset; each exposes `TASK`."""
