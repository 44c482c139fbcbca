"""Advice on photos before a run, and on photos and model after it."""
