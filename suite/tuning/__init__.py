"""Studies: specification, storage, search, retest on fresh seeds, report."""
