"""How the tests are shared out between processes (`pytest -n 2`, see the Makefile).

A file is a group: its tests run in one process, in their order, so that what its fixtures made is
made once. Files whose tests share nothing and take long are divided. Groups are begun in the order
of COMPUTING, then as they were collected, so that no long one is left to run alone at the end; and
where one group computes, another had better wait for servers and clocks, so these alternate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

DIVIDED = ("tests/test_accuracy.py", "tests/faults/test_killed.py")
"""Each test is a group of its own."""
COMPUTING = (
    "tests/test_accuracy.py",
    "tests/viewer/test_sceaux.py",
    "tests/test_masked_run.py",
    "tests/faults/",
    "tests/engine/",
    "tests/stages/",
)
"""The longest first; prefixes."""
WAITING = ("tests/remote/", "tests/faults_remote/")


def group_of(nodeid: str) -> str:
    """The group of a test: its file, or itself."""
    file = nodeid.partition("::")[0]
    return nodeid if file in DIVIDED else file


def group_scheduler(config: pytest.Config, log: Any) -> Any:
    """What hands groups to processes. (`--dist loadgroup` of pytest-xdist 3.8 does nothing under
    pytest 9.2, which forbids to rename a test.)"""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def order_of(nodeids: list[str]) -> Callable[[pytest.Item], int]:
    """The key by which tests are put into the order in which their groups begin."""
    names = _ordered(list(dict.fromkeys(map(group_of, nodeids))))
    places = {name: place for place, name in enumerate(names)}
    return lambda item: places[group_of(item.nodeid)]


def _ordered(names: list[str]) -> list[str]:
    computing = sorted(
        (name for name in names if name.startswith(COMPUTING)),
        key=lambda name: [name.startswith(prefix) for prefix in COMPUTING].index(True),
    )
    waiting = [name for name in names if name.startswith(WAITING)]
    others = [name for name in names if not name.startswith((*COMPUTING, *WAITING))]
    ordered: list[str] = []
    while computing or waiting:
        ordered += [queue.pop(0) for queue in (computing, waiting) if queue]
    return ordered + others
