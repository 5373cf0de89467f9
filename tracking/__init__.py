"""Where results go: MLflow runs, hardware samples, statistics, the leaderboard. Sees dicts, arrays and paths."""
