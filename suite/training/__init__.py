"""The training loop of Keras networks."""
