"""Geometry of a placed photo set: views, axes, region, world frame."""
