"""Event generators, one file per detector or process."""
