"""Structure from motion by the pycolmap package.

Databases are read by pycolmap's own SQLite alone, which writes them: see `pycolmap_door`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.colmap.model_files import read_models, write_model
from insaat_cli.engine.colmap.pycolmap_door import pycolmap
from insaat_cli.engine.sfm.bundle_adjustment import Free
from insaat_cli.engine.sfm.mapping_backend import (
    FORGIVING,
    MAPPER,
    MIN_MODEL_PHOTOS,
    SEED,
    NamePair,
    write_pairs,
)

LOSS_SCALE_PX = 0.5
FUNCTION_TOLERANCE = 1e-6
MAX_ITERATIONS = 50
REPRODUCIBLE_PHOTOS = 200
"""Up to so many photos the same input gives the same cameras, to the last bit."""
PHOTOS_HELD = 48
"""Pairs that COLMAP takes at a time, and photos whose search trees it keeps meanwhile: 3 MB each.
To build one takes as long as two searches."""
COUNT_EVERY_S = 0.5
BLAS_THRESHOLD = "_ZN5faiss31distance_compute_blas_thresholdE"
"""faiss::distance_compute_blas_threshold: with fewer queries than that it multiplies by itself."""


class PycolmapBackend:
    """COLMAP inside this process."""

    name = "pycolmap"

    def match(
        self,
        database: Path,
        pairs: Sequence[NamePair],
        *,
        threads: int,
        progress: Callable[[float], None],
    ) -> None:
        matching = pycolmap.FeatureMatchingOptions()
        matching.num_threads = matching_threads(pycolmap._core.__file__, threads)
        matching.use_gpu = False
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.random_seed = SEED
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = write_pairs(database.with_suffix(".pairs.txt"), pairs)
        pairing.block_size = PHOTOS_HELD
        with _pairs_counted(database, lambda count: progress(min(count / len(pairs), 1.0))):
            pycolmap.match_image_pairs(
                database, matching, pairing, verification, device=pycolmap.Device.cpu
            )
        pairing.match_list_path.unlink()

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
        options = pycolmap.IncrementalPipelineOptions()
        with pycolmap.Database.open(database) as photos:
            options.num_threads = adjusting_threads(photos.num_images(), threads)
        options.random_seed = SEED
        options.mapper.random_seed = SEED
        options.triangulation.random_seed = SEED
        options.extract_colors = False
        for name, value in (MAPPER | (FORGIVING if forgiving else {})).items():
            setattr(options if hasattr(options, name) else options.mapper, name, value)
        models = pycolmap.incremental_mapping(
            database, images, scratch, options, next_image_callback=on_image
        )
        return _taken(models.values(), scratch)

    def map_globally(
        self, database: Path, images: Path, scratch: Path, *, threads: int
    ) -> list[Model] | None:
        pycolmap.calibrate_view_graph(database)
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = threads
        options.random_seed = SEED
        options.min_model_size = MIN_MODEL_PHOTOS
        models = pycolmap.global_mapping(database, images, scratch, options)
        return _taken(models.values(), scratch)

    def adjust(self, model: Model, scratch: Path, free: Free, *, threads: int) -> Model:
        write_model(model, scratch)
        reconstruction = pycolmap.Reconstruction(scratch)
        options = pycolmap.BundleAdjustmentOptions()
        options.print_summary = False
        options.refine_focal_length = free.focal_length
        options.refine_principal_point = free.principal_point
        options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
        options.ceres.loss_function_scale = LOSS_SCALE_PX
        count = adjusting_threads(len(model.images), threads)
        options.ceres.solver_options.num_threads = count
        options.ceres.solver_options.function_tolerance = FUNCTION_TOLERANCE
        options.ceres.solver_options.max_num_iterations = MAX_ITERATIONS
        pycolmap.bundle_adjustment(reconstruction, options)
        return _taken([reconstruction], scratch)[0]


@contextmanager
def _pairs_counted(database: Path, tell: Callable[[int], None]) -> Iterator[None]:
    """Tell how many pairs have been verified in `database`, now and then and at the end.

    COLMAP keeps its changes in a log of their own (WAL), so that a reader stops no writer. It stays
    open all the while, so that nobody is ever the last to leave and clears the log away.
    """
    ended = Event()
    with pycolmap.Database.open(database) as store:
        before = store.num_verified_image_pairs()

        def count() -> None:
            tell(store.num_verified_image_pairs() - before)

        def watch() -> None:
            while not ended.wait(COUNT_EVERY_S):
                count()

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
        count()


def matching_threads(library: str, threads: int) -> int:
    """Threads for matching with pycolmap's compiled `library`, which is set up for them.

    The OpenBLAS in its Linux wheels is one for programs of one thread: it takes its work buffers
    without a lock. Two threads in the same buffer spoil some matches of a photo, once in some
    hundred photos. In matching only faiss calls it, and need not, at half as much time again.
    """
    if sys.platform != "linux":
        return threads
    try:
        threshold = ctypes.c_int.in_dll(ctypes.CDLL(library), BLAS_THRESHOLD)
    except (OSError, ValueError):  # built otherwise: no way to tell faiss
        return 1
    threshold.value = 2**31 - 1
    return threads


def adjusting_threads(photos: int, threads: int) -> int:
    """Threads for bundle adjustment.

    Several add up in another order each time, and a set that hangs together loosely then ends in
    one or the other of two solutions. Of 30 photos two threads save nothing.
    """
    return 1 if photos <= REPRODUCIBLE_PHOTOS else threads


def _taken(models: Iterable[pycolmap.Reconstruction], scratch: Path) -> list[Model]:
    folder = scratch / "taken"
    for index, model in enumerate(models):
        (folder / str(index)).mkdir(parents=True)
        model.write_binary(folder / str(index))
    return read_models(folder) if folder.exists() else []
