"""Studies that this suite does again, a file each: the document's numbers and what is run for them."""
