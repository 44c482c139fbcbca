"""The built-in stages: one file each, each a function from options and paths to output paths."""

from insaat_cli import engine  # before any `import pycolmap`; see there

__all__ = ["engine"]
