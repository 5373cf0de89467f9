"""Checks of a task's data against genuine figures."""
