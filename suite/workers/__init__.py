"""Processes that run trials: here, under a Dask scheduler, on a batch system."""
