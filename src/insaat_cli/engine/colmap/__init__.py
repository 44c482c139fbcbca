"""COLMAP's models, databases, maps and cameras: the one door to its formats."""
