"""Programs that are not ours: where they are, what they say, what they write."""
