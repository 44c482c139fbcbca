"""Meshes and point clouds: every format read, checked and written."""
