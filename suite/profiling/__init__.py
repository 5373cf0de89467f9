"""Benchmarks of data, models and this machine, and comparisons with other libraries."""
