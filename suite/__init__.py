"""How it is run: data, trials, benches, and the command line."""
