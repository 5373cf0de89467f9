"""Shifted samples of the tasks, one file per task: trained models are evaluated on them in addition to the test set."""
