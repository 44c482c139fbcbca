"""One depth map for each view."""
