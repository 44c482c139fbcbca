"""What the report says of photos and model: facts in numbers, coverage, and advice in words."""
