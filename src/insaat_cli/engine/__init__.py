"""Algorithms on arrays: cameras, stereo, fusion, surface, texture. No files of a run, no processes."""
