"""From files to views: verified, prepared once, memory-mapped, split."""
