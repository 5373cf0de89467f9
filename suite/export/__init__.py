"""Trained models as files for where they will run."""
