"""A job that is returned to the queue again and again, and never gets on, has an end.

A release counts against nobody: the worker had to stop. But where every worker is stopped before
any has finished the next stage, the job would be begun for ever.
"""

from __future__ import annotations

from insaat_cli.errors import Fault
from insaat_cli.remote.queue.job_state import JobState, Problem
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.worker.checkpoints import last_epoch

MAX_IDLE_ATTEMPTS = 25
"""In a row, without a stage that was finished and stored."""


def standing_still(store: Store, state: JobState) -> Problem | None:
    """What ends a running job that is about to be released; None where it still gets on."""
    if state.epoch - state.life < MAX_IDLE_ATTEMPTS:
        return None
    idle = state.epoch - max(last_epoch(store, state.job), state.life)
    if idle < MAX_IDLE_ATTEMPTS:
        return None
    return Problem(
        fault=Fault.STAGE,
        message=f"returned to the queue {idle} times in a row before any stage finished",
        hint=f"workers are stopped too early: let them run longer, then: insaat retry {state.job}",
        stage=state.progress.stage,
    )
