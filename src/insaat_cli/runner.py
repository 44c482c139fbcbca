"""Carries a plan out: starts stages as the scheduler decides, checks, publishes, records."""

from __future__ import annotations

from insaat_cli.run_events import Listener
from insaat_cli.run_plan import RunPlan, RunResult


def run_pipeline(plan: RunPlan, listener: Listener) -> RunResult:
    """Run `plan`, telling `listener` what happens; any expected fault is an InsaatError."""
    raise NotImplementedError
