"""Algorithms on arrays: cameras, stereo, fusion, surface, texture. No run, no process."""
