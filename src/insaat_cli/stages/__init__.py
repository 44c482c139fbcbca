"""The built-in stages: one file each, each a function from options and paths to output paths."""
