"""Two results beside each other on the same test events: what was found, its table, figures and page."""
