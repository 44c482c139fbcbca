"""Tests of the texturing modules."""
