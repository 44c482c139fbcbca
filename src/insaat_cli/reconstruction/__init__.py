"""The main job: for one photo set, for many, per preset, for the demo."""
