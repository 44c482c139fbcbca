"""Every module has its test: one of its name, or one that CONTRIBUTING.md names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ROOT / "src" / "insaat_cli", ROOT / "tests"
MODULES = sorted(
    path.relative_to(SOURCE).as_posix()
    for path in SOURCE.rglob("*.py")
    if not path.name.startswith("__")
)


def table() -> list[tuple[list[str], list[str]]]:
    """The tests and what they cover, row by row, each with its folder."""
    rows = re.findall(
        r"^\| (`.*?) \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M
    )
    return [(list(with_folders(tests)), list(with_folders(modules))) for tests, modules in rows]


def with_folders(cell: str) -> Iterator[str]:
    """The paths in a cell; a bare name is in the folder of the path before it."""
    folder = ""
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", cell):
        path = name if "/" in name else folder + name
        folder = path[: path.rindex("/") + 1] if "/" in path else ""
        yield path


def own_test(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


def test_the_table_names_what_is_there() -> None:
    rows = table()
    assert len(rows) > 20
    for tests, modules in rows:
        assert tests
        assert [name for name in tests if not (TESTS / name).exists()] == []
        assert [name for name in modules if not (SOURCE / name).exists()] == []
        files = [name for name in modules if name.endswith(".py")]
        assert [name for name in files if own_test(name).exists()] == [], "they have their own"


def test_a_module_has_a_test_of_its_name_or_in_the_table() -> None:
    named = {name for _, modules in table() for name in modules}
    untested = [
        module
        for module in MODULES
        if not own_test(module).exists()
        and module not in named
        and not named & {f"{parent.as_posix()}/" for parent in Path(module).parents}
    ]
    assert untested == [], "give each a test of its name, or a row of the table in CONTRIBUTING.md"
