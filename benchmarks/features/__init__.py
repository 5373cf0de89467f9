"""Variables and views by kind of event."""
