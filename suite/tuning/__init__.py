"""Hyper-parameter studies: specification, storage, search, retest on fresh seeds, report."""
