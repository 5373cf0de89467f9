"""What is measured: tasks, models and metrics. Knows nothing of how they are run or where results go."""
