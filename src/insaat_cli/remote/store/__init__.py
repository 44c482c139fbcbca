"""Objects: the protocol, its implementations, transfers, the probe."""
