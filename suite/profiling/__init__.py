"""Rates of data and models, and against peers."""
