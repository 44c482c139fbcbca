"""Messages through a broker: which job to look at, and what became of it.

The queue works without."""
