"""The rasteriser, and what is drawn or counted with it."""
