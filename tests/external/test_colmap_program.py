"""The colmap program in place of pycolmap: options by version, and which of the two is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.errors import MissingError, UsageError
from insaat_cli.external import choose_colmap
from insaat_cli.external.choose_colmap import choose_backend
from insaat_cli.external.colmap_program import ProgramBackend, known_options, option_arguments

HELP_38 = """
  -h [ --help ]
  --random_seed arg (=0)
  --database_path arg
  --match_type arg (=pairs)             {'pairs', 'raw', 'inliers'}
  --SiftMatching.num_threads arg (=-1)
  --SiftMatching.use_gpu arg (=1)
"""
HELP_313 = """
  -h [ --help ]
  --default_random_seed arg (=0)
  --FeatureMatching.num_threads arg (=-1)
  --FeatureMatching.use_gpu arg (=1)
  --TwoViewGeometry.random_seed arg (=-1)
"""


def program(folder: Path, said: str) -> str:
    path = folder / "colmap"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            HELP_38,
            ["--SiftMatching.num_threads", "2", "--SiftMatching.use_gpu", "0",
             "--random_seed", "1"],
        ),
        (
            HELP_313,
            ["--FeatureMatching.num_threads", "2", "--FeatureMatching.use_gpu", "0",
             "--TwoViewGeometry.random_seed", "1", "--default_random_seed", "1"],
        ),
    ],
)  # fmt: skip
def test_options_go_under_the_names_of_the_version(
    said: str, expected: list[str], tmp_path: Path
) -> None:
    known = known_options(program(tmp_path, said), "matches_importer")
    wanted = {"num_threads": 2, "use_gpu": 0, "random_seed": 1, "unheard_of": 1}
    found = option_arguments({"database_path": "a b.db"}, wanted, known)
    assert found == ["--database_path", "a b.db", *expected]


def test_pycolmap_where_it_is_there() -> None:
    assert choose_backend("AUTO").name == choose_backend("PYCOLMAP").name == "pycolmap"
    with pytest.raises(UsageError, match="invalid backend best"):
        choose_backend("best")


def test_the_program_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_colmap, "find_spec", lambda name: None)
    monkeypatch.setenv("INSAAT_COLMAP_BIN", str(tmp_path))
    program(tmp_path, HELP_38)
    assert isinstance(choose_backend("AUTO"), ProgramBackend)
    with pytest.raises(MissingError, match="pycolmap is not installed"):
        choose_backend("PYCOLMAP")
    monkeypatch.setattr(choose_colmap, "locate", lambda name: None)
    with pytest.raises(MissingError, match="neither pycolmap nor the colmap program"):
        choose_backend("AUTO")
