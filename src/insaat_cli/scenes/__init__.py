"""A small renderer of our own: photo sets with exact truth, for the demo and the tests."""

from insaat_cli.scenes.photo_set import SceneTruth, make_photo_set
from insaat_cli.scenes.subjects import Subject

__all__ = ["SceneTruth", "Subject", "make_photo_set"]
