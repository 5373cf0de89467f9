"""The machine, and the sampler of its use."""
