"""Shifted samples of the tasks, a file each: what trained models are scored on besides the test part."""
