"""Progress where there is no terminal: a log, a pipe, a CI job. One line for each thing told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.runner.events import (
    PhotosFound,
    RunEvent,
    RunPlanned,
    RunProgress,
    RunStarted,
    StageDegraded,
    StageFailed,
    StageFinished,
    StageProgress,
    StageSkipped,
    StageStarted,
    StageWarning,
)

MARKS = (0.75, 0.5, 0.25)
"""Shares of a stage that are worth a line."""
LEFT_OUT_SHOWN = 8


class PlainLines:
    """A listener that prints through `write`, one line a call."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool = False) -> None:
        self._write = write
        self._verbose = verbose
        self._numbers: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        self._marked: dict[str, float] = {}
        self._left = ""

    def __call__(self, event: RunEvent) -> None:
        match event:
            case PhotosFound():
                for line in left_out_lines(event, whole=self._verbose):
                    self._write(line)
            case RunStarted():
                self._start(event)
            case RunProgress():
                self._left = f", about {duration(event.seconds_left)} left in total"
            case StageStarted():
                self._start_stage(event)
            case StageProgress():
                self._progress(event)
            case _:
                if words := self._words(event):
                    self._write(f"{self._label(getattr(event, 'stage', ''))}: {words}")

    def _words(self, event: RunEvent) -> str:
        match event:
            case RunPlanned():
                return planned_words(event)
            case StageSkipped():
                return "reused"
            case StageDegraded():
                return degraded_words(event)
            case StageWarning():
                return f"warning: {printable(event.text)}"
            case StageFinished():
                return self._finished_words(event)
            case StageFailed():
                return "failed"
        return ""

    def _start(self, event: RunStarted) -> None:
        width = len(event.stages)
        self._numbers = {
            stage.name: f"[{number}/{width}] " for number, stage in enumerate(event.stages, 1)
        }
        self._titles = {stage.name: stage.title for stage in event.stages}
        self._write(run_words(event))

    def _label(self, stage: str) -> str:
        return self._numbers.get(stage, "") + printable(self._titles.get(stage, stage))

    def _start_stage(self, event: StageStarted) -> None:
        self._marked[event.stage] = 0.0
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        details = ""
        if self._verbose:
            details = (
                f": {counted(event.threads, 'thread')}, predicted "
                f"{duration(event.predicted_seconds)} and {size(event.predicted_bytes)}, "
                f"log {printable(str(event.log))}"
            )
        self._write(f"{self._label(event.stage)} ({printable(event.stage)}{again}){details}")

    def _progress(self, event: StageProgress) -> None:
        mark = next((mark for mark in MARKS if event.share >= mark), 0.0)
        if event.share < 1.0 and mark > self._marked.get(event.stage, 0.0):
            self._marked[event.stage] = mark
            self._write(f"{self._label(event.stage)}: {mark:.0%}{self._left}")

    def _finished_words(self, event: StageFinished) -> str:
        words = f"done in {duration(event.seconds)}, peak {size(event.peak_bytes)}"
        if self._verbose and event.metrics:
            return f"{words} ({printable(metrics_words(event))})"
        return words


def left_out_lines(event: PhotosFound, *, whole: bool) -> list[str]:
    """Which files are not used, and why; `whole` leaves none unnamed."""
    count = len(event.left_out)
    if not count:
        return []
    shown = list(event.left_out.items())[: None if whole else LEFT_OUT_SHOWN]
    lines = [f"{counted(count, 'file')} left out:"]
    lines += [f"  {printable(name)}: {printable(reason)}" for name, reason in shown]
    if count > len(shown):
        lines.append(f"  … and {counted(count - len(shown), 'other')} (see the report)")
    return lines


def run_words(event: RunStarted) -> str:
    """The run in one line: how many photos, with which pipeline, within which limits."""
    return (
        f"{counted(event.photos, 'photo')}, pipeline {printable(event.pipeline)}, "
        f"preset {printable(event.preset)}, {counted(event.threads, 'thread')}, "
        f"at most {size(event.memory_budget_bytes)} of memory"
    )


def planned_words(event: RunPlanned) -> str:
    """What a dry run says of one stage."""
    if event.skipped:
        return "would be reused"
    changes = f", with {_settings(event.changes)} to fit in memory" if event.changes else ""
    return (
        f"about {duration(event.predicted_seconds)}, {size(event.predicted_bytes)}, "
        f"{counted(event.threads, 'thread')}{changes}"
    )


def degraded_words(event: StageDegraded) -> str:
    """What is reduced, and why."""
    changes = f"retrying with {_settings(event.changes)}: " if event.changes else ""
    return printable(changes + event.reason)


def metrics_words(event: StageFinished) -> str:
    """The plain values among a stage's metrics."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in event.metrics.items()
        if isinstance(value, str | int | float)
    )


def _settings(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
