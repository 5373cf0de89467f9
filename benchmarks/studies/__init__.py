"""Studies that this suite reproduces, one per file: the document's numbers and the experiments run for them."""
