"""What passes between this suite and others: events out, scores in, results of one machine to another."""
