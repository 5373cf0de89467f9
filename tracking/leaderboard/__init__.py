"""The leaderboard: from runs to ranked rows, and to a terminal, to files and to a page."""
