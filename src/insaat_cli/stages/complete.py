"""Stage `complete`: depth on plain surfaces, from planes that what was measured supports."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.bounded_map import in_order
from insaat_cli.engine.scene.views import Floats
from insaat_cli.engine.stereo.completion import (
    CompletionRule,
    Proposal,
    completed_map,
    confirmed_by,
    propose,
    survey,
    thinned,
)
from insaat_cli.engine.stereo.depth_map_files import INDEX_NAME, DepthMap, read_index
from insaat_cli.engine.stereo.floor_search import Floor, find_floor, ground_of
from insaat_cli.engine.stereo.plane_evidence import SKY, Seen
from insaat_cli.engine.stereo.plane_support import Support
from insaat_cli.engine.stereo.sky import SkyGuess, set_has_sky
from insaat_cli.engine.stereo.superpixels import Superpixels
from insaat_cli.engine.working_images import load_rgb
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

Map = npt.NDArray[np.float32]
FLOOR_HEIGHT = 0.0
"""Ground of the world frame, from `sparse` on."""
SURVEY, PROPOSAL = "survey", "proposal"
PIECES = ("labels", "area", "pairs", "length", "contrast", "middle")
SIDE_PX = 450
"""About the longer side of what planes are sought in, by every n-th pixel of a depth map."""
SURVEY_SHARE = 0.5
"""Of the time."""


@dataclass(frozen=True, kw_only=True)
class CompleteOptions:
    """Whether and how plain surfaces are completed."""

    mode: Completion = Completion.ON
    views: int = 6
    """Neighbours that are asked about a piece of a photo."""
    confirming_views: int = 2
    """Other photos that must agree with what was completed."""
    sides: int = 3
    """Of eight directions, in how many there must be measured depth on the same plane."""


def complete_depth_maps(
    depth: Path,
    images: Path,
    output: Path,
    options: CompleteOptions,
    *,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Metrics:
    """Write `output`, a folder like `depth`, with completed depth maps."""
    output.mkdir(parents=True, exist_ok=True)
    _link(depth / INDEX_NAME, output / INDEX_NAME)
    entries = read_index(depth)
    if options.mode is Completion.OFF:
        for entry in entries:
            _link(depth / entry.file, output / entry.file)
        return {"completed": 0.0, "sky": 0.0}
    cv2.setNumThreads(1)
    run = _Run(depth, images, output, options, threads)
    run.scratch.mkdir()
    guesses: list[SkyGuess] = []
    shares: list[tuple[float, float]] = []
    places = range(len(entries))
    with ThreadPoolExecutor(threads) as pool:
        for guess in in_order(pool, run.survey, places, ahead=threads + 1):
            guesses.append(guess)
            progress(SURVEY_SHARE * len(guesses) / len(entries))
        heights = np.array([entry.view.center[1] for entry in entries], np.float32)
        run.has_sky = set_has_sky(guesses, heights, FLOOR_HEIGHT)
        run.rule = replace(run.rule, support=replace(run.rule.support, indoors=not run.has_sky))
        run.find_floor()
        for done, _ in enumerate(in_order(pool, run.propose, places, ahead=threads + 1)):
            progress(SURVEY_SHARE + (0.95 - SURVEY_SHARE) * (done + 1) / len(entries))
        for share in in_order(pool, run.finish, places, ahead=threads + 1):
            shares.append(share)
            progress(0.95 + 0.05 * len(shares) / len(entries))
    shutil.rmtree(run.scratch)
    completed, sky = np.mean(shares, axis=0)
    return {"completed": round(float(completed), 4), "sky": round(float(sky), 4)}


class _Run:
    """The three passes over all views; what one leaves for the next lies in a scratch folder."""

    def __init__(
        self,
        depth: Path,
        images: Path,
        output: Path,
        options: CompleteOptions,
        threads: int,
    ) -> None:
        self.depth, self.images, self.output = depth, images, output
        self.entries = read_index(depth)
        side = max(max(entry.view.width, entry.view.height) for entry in self.entries)
        self.step = max(1, round(side / SIDE_PX))
        self.views = [thinned(entry.view, self.step) for entry in self.entries]
        self.scratch = output.parent / "scratch"
        self.has_sky = False
        self.floor: Floor | None = None
        self.rule = CompletionRule(
            views=options.views,
            confirming_views=options.confirming_views,
            support=Support(directions=options.sides),
        )
        kept = lru_cache(maxsize=12 + 2 * threads)
        self._map_of, self._seen_of = kept(self._load_map), kept(self._load_seen)
        self._known_of = kept(self._load_known)

    def survey(self, index: int) -> SkyGuess:
        """First pass: what one view knows by itself; the guess at its sky."""
        full = self.entries[index].view
        others = self.entries[index].neighbours
        rgb = load_rgb(self.images / full.name, full.width, full.height)
        if self.step > 1:
            rgb = np.ascontiguousarray(cv2.blur(rgb, (3, 3))[:: self.step, :: self.step])
        found = survey(
            self.views[index],
            self._map_of(index),
            rgb,
            [self.views[other] for other in others],
            [self._map_of(other) for other in others],
            self.rule,
        )
        pieces = found.pieces
        np.savez(
            self._scratch_file(SURVEY, index),
            gray=found.seen.gray,
            reliable=found.seen.reliable,
            planes=found.planes,
            sky=found.sky.pixels,
            labels=pieces.labels,
            area=pieces.area,
            pairs=pieces.pairs,
            length=pieces.length,
            contrast=pieces.contrast,
            middle=pieces.middle,
        )
        return replace(found.sky, pixels=np.empty((0, 0), bool))

    def find_floor(self) -> None:
        """Between the passes: the ground, from some views spread over all."""
        count = len(self.entries)
        chosen = np.unique(np.linspace(0, count - 1, self.rule.floor.views).astype(int))
        grounds = []
        for index in chosen.tolist():
            asked = self.entries[index].neighbours[: self.rule.views]
            others = [self._seen_of(other)[0] for other in asked]
            own, _ = self._seen_of(index)
            ground = ground_of(own, self._pieces(index), others, self.rule.floor)
            grounds += [] if ground is None else [ground]
        self.floor = find_floor(grounds, self.rule.floor)

    def propose(self, index: int) -> None:
        """Second pass: what planes support."""
        entry = self.entries[index]
        pieces = self._pieces(index)
        own, planes = self._seen_of(index)
        others = [self._seen_of(other) for other in entry.neighbours]
        sources = [(own.view, planes), *((other.view, found) for other, found in others)]
        asked = [other for other, _ in others[: self.rule.views]]
        found = propose(own, pieces, sources, asked, self.floor, self.rule)
        np.savez(self._scratch_file(PROPOSAL, index), planes=found.planes, chosen=found.chosen)

    def finish(self, index: int) -> tuple[float, float]:
        """Third pass: what other views confirm; the shares completed and of sky."""
        entry = self.entries[index]
        own, _ = self._seen_of(index)
        proposal = self._proposal(index)
        confirmed = confirmed_by(
            own.view,
            proposal.depth(own.view),
            [(self.views[other], self._known_of(other)) for other in entry.neighbours],
            [(self.views[other], self._seen_of(other)[0].reliable) for other in entry.neighbours],
            self.rule,
        )
        measured = DepthMap.load(self.depth / entry.file)
        result = completed_map(entry.view, measured, own.reliable, proposal, confirmed)
        result.save(self.output / entry.file)
        return _share(result.completed), _share(result.sky)

    def _scratch_file(self, kind: str, index: int) -> Path:
        return self.scratch / f"{kind}{index:05d}.npz"

    def _load_map(self, index: int) -> DepthMap:
        """What was measured, thinned."""
        full = DepthMap.load(self.depth / self.entries[index].file)
        every = (slice(None, None, self.step), slice(None, None, self.step))
        return DepthMap(
            depth=np.ascontiguousarray(full.depth[every]),
            normals=np.ascontiguousarray(full.normals[every]),
            confidence=np.ascontiguousarray(full.confidence[every]),
        )

    def _load_seen(self, index: int) -> tuple[Seen, Floats]:
        """What is known of a view, sky included, and its planes."""
        with np.load(self._scratch_file(SURVEY, index)) as data:
            reliable = data["reliable"]
            if self.has_sky:
                reliable[data["sky"]] = SKY
            seen = Seen(view=self.views[index], gray=data["gray"], reliable=reliable)
            return seen, data["planes"]

    def _pieces(self, index: int) -> Superpixels:
        with np.load(self._scratch_file(SURVEY, index)) as data:
            return Superpixels(**{key: data[key] for key in PIECES})

    def _proposal(self, index: int) -> Proposal:
        with np.load(self._scratch_file(PROPOSAL, index)) as data:
            return Proposal(planes=data["planes"], chosen=data["chosen"])

    def _load_known(self, index: int) -> Map:
        """Depth that is reliable, or else proposed."""
        seen, _ = self._seen_of(index)
        proposed = self._proposal(index).depth(seen.view)
        return np.where(seen.reliable > 0, seen.reliable, proposed)


def _share(pixels: npt.NDArray[np.bool_] | None) -> float:
    return 0.0 if pixels is None else float(pixels.mean())


def _link(source: Path, target: Path) -> None:
    """The same file by another name; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main(request: StageRequest, events: Events) -> Metrics:
    return complete_depth_maps(
        request.inputs["dense"] / "depth",
        request.inputs["undistort"] / "images",
        request.output / "depth",
        parse_options(CompleteOptions, request.params),
        threads=request.threads,
        progress=events.progress,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
