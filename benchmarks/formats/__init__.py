"""Published file formats: read and write."""
