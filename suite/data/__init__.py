"""From files to model inputs: verified, prepared once, memory-mapped, split."""
