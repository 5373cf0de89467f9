"""One trial: what it is, its run, its artefacts, and its run in a process of a worker."""
