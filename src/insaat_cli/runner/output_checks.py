"""What must hold after a stage, whatever its exit status says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from insaat_cli.errors import ERROR_OF_FAULT, InsaatError, StageError
from insaat_cli.pipeline.definition import Expectation, Stage
from insaat_cli.workspace.workspace import RESULT_NAME, size_of


def read_metrics(folder: Path) -> dict[str, Any]:
    """What the stage says about its own result; {} where it says nothing."""
    try:
        metrics = json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StageError(f"cannot read the stage's {RESULT_NAME}: {error}") from error
    return metrics if isinstance(metrics, dict) else {}


def check_outputs(stage: Stage, folder: Path, metrics: Mapping[str, Any]) -> None:
    """Raise the fault of the first declared output or expectation that does not hold."""
    for output in stage.outputs:
        if _size(folder / output) == 0:
            raise StageError(
                f"{stage.title} finished without an error but did not write {output}",
                stage=stage.name,
            )
    for expectation in stage.expect:
        problem = _problem(expectation, folder, metrics)
        if problem:
            raise _error(stage, expectation, problem)


def _error(stage: Stage, expectation: Expectation, problem: str) -> InsaatError:
    kind = ERROR_OF_FAULT[expectation.fault]
    return kind(f"{stage.title}: {problem}", hint=expectation.hint, stage=stage.name)


def _problem(expectation: Expectation, folder: Path, metrics: Mapping[str, Any]) -> str:
    """What is wrong, in words; "" where all is well."""
    if expectation.file is not None:
        what, value = f"{expectation.file} (bytes)", float(_size(folder / expectation.file))
        minimum = 1.0 if expectation.minimum is None else expectation.minimum
    else:
        what = (expectation.metric or "").replace("_", " ")
        found = metrics.get(expectation.metric or "")
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if found is None or not number or math.isnan(found):
            return f"{what} was not reported"
        value = float(found)
        minimum = float("-inf") if expectation.minimum is None else expectation.minimum
    if value < minimum:
        return f"{what}: {value:g}, at least {minimum:g} needed"
    if expectation.maximum is not None and value > expectation.maximum:
        return f"{what}: {value:g}, at most {expectation.maximum:g} allowed"
    return ""


def _size(path: Path) -> int:
    try:
        return size_of(path)
    except OSError:
        return 0
