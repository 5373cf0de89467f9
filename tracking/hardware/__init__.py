"""What a trial runs on, and how much of it the trial uses."""
