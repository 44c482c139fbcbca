"""Tests mirror the source: tests/FOLDER/test_NAME.py."""
