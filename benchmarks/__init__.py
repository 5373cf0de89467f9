"""What is measured: tasks, models and metrics. Independent of how they are run and where results are stored."""
