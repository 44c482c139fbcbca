"""Model files: check a foreign file before anything trusts it, read it, write it."""
