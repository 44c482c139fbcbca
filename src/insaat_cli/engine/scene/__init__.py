"""Geometry of a registered photo set: views, axes, region, world frame."""
