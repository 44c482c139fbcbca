"""Look at photos before a run: what will hurt, and what to do about it, in words."""
