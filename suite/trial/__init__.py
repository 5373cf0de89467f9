"""One trial: what it is, run, artefacts, serving in a worker."""
