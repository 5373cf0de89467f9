"""Variables and views by type of event."""
