"""The ends of the ranges of a stage's numbers."""

from __future__ import annotations

from insaat_cli.pipeline.parameter_file import built_in_parameters


def extremes(stage: str) -> list[tuple[str, float]]:
    """Name and value, of every number of the stage at both ends."""
    described = built_in_parameters(f"insaat_cli.stages.{stage}") or {}
    ends = [(name, end) for name, one in described.items() for end in (one.minimum, one.maximum)]
    return [(name, end) for name, end in ends if end is not None]
