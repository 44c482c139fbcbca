"""Structure from motion by the colmap program, where the pycolmap package has no wheel.

Its options have changed their names and places from version to version (SiftMatching.use_gpu
became FeatureMatching.use_gpu); what the program lists in its help decides which are passed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from insaat_cli.engine.colmap.database import copy_plain
from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.colmap.model_files import read_model, read_models, write_model
from insaat_cli.engine.sfm.bundle_adjustment import FILTER_ERROR_PX, Free, without_outliers
from insaat_cli.engine.sfm.mapping_backend import FORGIVING, MAPPER, SEED, NamePair, write_pairs
from insaat_cli.errors import StageError
from insaat_cli.external.programs import require
from insaat_cli.external.run_program import ProgramCall, cannot_start, run_program

COLMAP_PROGRAM = "colmap"
OPTION = re.compile(r"^\s+--(\S+)", re.MULTILINE)
REGISTERING = "Registering image #"
ADJUSTED: dict[str, float] = {"function_tolerance": 1e-6, "max_num_iterations": 50}
HELP_TIMEOUT_S = 60
PAIRS_A_CALL = 48
"""The program writes them all at its end, and tells nothing of its progress before."""


class ProgramBackend:
    """COLMAP as a program of its own."""

    name = "colmap program"

    def match(
        self,
        database: Path,
        pairs: Sequence[NamePair],
        *,
        threads: int,
        progress: Callable[[float], None],
    ) -> None:
        wanted = {
            "num_threads": threads,
            "use_gpu": 0,
            "random_seed": SEED,
        }
        for start in range(0, len(pairs), PAIRS_A_CALL):
            part = pairs[start : start + PAIRS_A_CALL]
            listed = write_pairs(database.with_suffix(".pairs.txt"), part)
            _run(
                "matches_importer",
                {"database_path": database, "match_list_path": listed, "match_type": "pairs"},
                wanted,
                database.parent,
            )
            listed.unlink()
            progress((start + len(part)) / len(pairs))

    def map_incrementally(
        self,
        database: Path,
        images: Path,
        scratch: Path,
        *,
        threads: int,
        forgiving: bool,
        on_image: Callable[[], None],
    ) -> list[Model]:
        plain, models = scratch / "plain.db", scratch / "models"
        copy_plain(database, plain)
        models.mkdir()
        wanted: dict[str, float] = {
            "num_threads": threads,
            "extract_colors": 0,
            "random_seed": SEED,
        }
        try:
            _run(
                "mapper",
                {"database_path": plain, "image_path": images, "output_path": models},
                wanted | MAPPER | (FORGIVING if forgiving else {}),
                scratch,
                on_line=lambda line: on_image() if REGISTERING in line else None,
            )
        except StageError as error:
            if "exit status" not in error.message:  # a crash
                raise  # it ends with 1 where no two photos start a model
        plain.unlink()
        return read_models(models)

    def map_globally(
        self, database: Path, images: Path, scratch: Path, *, threads: int
    ) -> list[Model] | None:
        return None

    def adjust(self, model: Model, scratch: Path, free: Free, *, threads: int) -> Model:
        before, after = scratch / "before", scratch / "after"
        before.mkdir()
        after.mkdir()
        # The program knows no robust loss: what a robust one would hardly count goes first.
        write_model(without_outliers(model, 2 * FILTER_ERROR_PX, 0.0), before)
        wanted: dict[str, float] = {
            "refine_focal_length": int(free.focal_length),
            "refine_principal_point": int(free.principal_point),
            "num_threads": threads,
        }
        _run(
            "bundle_adjuster",
            {"input_path": before, "output_path": after},
            wanted | ADJUSTED,
            scratch,
        )
        adjusted = read_model(after)
        shutil.rmtree(before)
        shutil.rmtree(after)
        return adjusted


def option_arguments(
    required: Mapping[str, object], wanted: Mapping[str, float], known: frozenset[str]
) -> list[str]:
    """`required` options as they are; of `wanted` those that the program knows, under whichever
    heading it has them."""
    arguments = [text for name, value in required.items() for text in (f"--{name}", str(value))]
    for name, value in wanted.items():
        for full in sorted(known):
            if full.rpartition(".")[2] in (name, f"default_{name}"):
                arguments += [f"--{full}", f"{value:g}"]
    return arguments


@cache
def known_options(path: str, command: str) -> frozenset[str]:
    """The options that the program at `path` lists for `command`."""
    try:
        said = subprocess.run(
            [path, command, "--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=HELP_TIMEOUT_S,
            check=False,
        ).stdout
    except OSError as error:
        raise cannot_start(COLMAP_PROGRAM, error) from error
    except subprocess.TimeoutExpired as error:
        raise StageError(f"colmap {command} --help does not end") from error
    return frozenset(OPTION.findall(said))


def _run(
    command: str,
    required: Mapping[str, object],
    wanted: Mapping[str, float],
    folder: Path,
    on_line: Callable[[str], None] | None = None,
) -> None:
    known = known_options(require(COLMAP_PROGRAM), command)
    call = ProgramCall(
        program=COLMAP_PROGRAM,
        arguments=[command, *option_arguments(required, wanted, known)],
        folder=folder,
        on_line=on_line,
    )
    run_program(call, lambda share: None)
