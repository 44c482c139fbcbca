"""Pictures from a video: evenly spaced, and the sharpest around each place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from insaat_cli.errors import UsageError
from insaat_cli.workspace.workspace import explain_disk

FRAMES_PER_SECOND = 2.0
"""Of a slow walk around a subject; what is chosen without --count."""
MIN_COUNT, MAX_COUNT = 20, 150
MIN_POSSIBLE = 3
WINDOW_SHARE = 0.7
"""Part of each interval, about its middle, in which the sharpest frame is looked for."""
LOOKED_AT = 8
"""Frames compared in each window."""
JUDGED_WIDTH_PX = 960
JPEG_QUALITY = 95
NAME = "frame_{number:05d}.jpg"

Progress = Callable[[float], None]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where one picture is looked for, in seconds from the start."""

    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What was written."""

    files: tuple[Path, ...]
    seconds: tuple[float, ...]
    """Where in the video each file was taken."""
    video_seconds: float


def extract_frames(
    video: Path,
    output: Path,
    *,
    count: int | None = None,
    progress: Progress = lambda share: None,
) -> Frames:
    """Write `count` pictures of `video` into `output`, without metadata.

    Raises UsageError where the video cannot be read or is too short, UsageError or StageError where
    the folder cannot be written.
    """
    times = _frame_times(video)
    length = times[-1] - times[0] + _typical_step(times)
    wanted = count or _usual_count(length)
    if len(times) == 1:
        raise UsageError(
            f"{video.name!r} is a picture, not a video",
            hint="give photos to insaat reconstruct as they are",
        )
    if len(times) < max(wanted, MIN_POSSIBLE):
        raise UsageError(
            f"{video.name!r} has only {len(times)} frames; "
            f"at least {max(wanted, MIN_POSSIBLE)} are needed",
            hint="use a smaller --count, or record a longer video",
        )
    windows = _windows(times[0], length, wanted)
    chosen = _candidates(times, windows)
    _prepare(output)
    files: list[Path] = []
    seconds: list[float] = []
    with explain_disk(output):
        for number, (at, picture) in enumerate(_sharpest(video, chosen), start=1):
            path = output / NAME.format(number=number)
            Image.fromarray(picture).save(path, quality=JPEG_QUALITY, subsampling=0)
            files.append(path)
            seconds.append(at - times[0])
            progress(number / wanted)
    if len(files) < MIN_POSSIBLE:
        raise UsageError(f"only {len(files)} frames of {video.name!r} could be decoded")
    return Frames(files=tuple(files), seconds=tuple(seconds), video_seconds=length)


@contextmanager
def _opened(video: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its best video stream; faults of the decoder become UsageError."""
    if not video.is_file():
        raise UsageError(f"video not found: {str(video)!r}")
    try:
        # file: keeps a name such as "http:..." or "concat:..." from being taken for a protocol.
        with av.open(f"file:{video}", options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise UsageError(f"{video.name!r} contains no video")
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise UsageError(
            f"{video.name!r} cannot be read as a video ({error.strerror or error})",
            hint="MP4, MOV, MKV and WebM from cameras and phones work",
        ) from error


def _frame_times(video: Path) -> list[float]:
    """Time of every frame in seconds, in order, without decoding any."""
    with _opened(video) as (container, stream):
        base = stream.time_base or Fraction(1, 1000)
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    if not stamps:
        raise UsageError(f"{video.name!r} contains no frames")
    return [float(stamp * base) for stamp in sorted(set(stamps))]


def _typical_step(times: list[float]) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _usual_count(length: float) -> int:
    return round(min(max(length * FRAMES_PER_SECOND, MIN_COUNT), MAX_COUNT))


def _windows(start: float, length: float, count: int) -> list[Window]:
    step = length / count
    margin = step * (1 - WINDOW_SHARE) / 2
    return [
        Window(start=start + i * step + margin, end=start + (i + 1) * step - margin)
        for i in range(count)
    ]


def _candidates(times: list[float], windows: list[Window]) -> dict[float, int]:
    """Number of the window that each frame worth looking at belongs to, by the frame's time."""
    stamps = np.array(times)
    chosen: dict[float, int] = {}
    for number, window in enumerate(windows):
        inside = np.flatnonzero((stamps >= window.start) & (stamps <= window.end))
        if len(inside) == 0:
            inside = np.array([np.abs(stamps - (window.start + window.end) / 2).argmin()])
        some = np.linspace(0, len(inside) - 1, min(LOOKED_AT, len(inside))).round().astype(int)
        for index in inside[some]:
            chosen.setdefault(times[index], number)
    return chosen


def _sharpest(video: Path, chosen: dict[float, int]) -> Iterator[tuple[float, Picture]]:
    """Time and picture of the sharpest candidate of each window, window by window."""
    best: tuple[float, float, Picture] | None = None
    current = -1
    with _opened(video) as (container, stream):
        base = stream.time_base or Fraction(1, 1000)
        for frame in container.decode(stream):
            if frame.pts is None or (number := chosen.get(float(frame.pts * base))) is None:
                continue
            if number != current and best is not None:
                yield best[1], best[2]
                best = None
            current = number
            value = _sharpness(frame)
            if best is None or value > best[0]:
                best = value, float(frame.pts * base), _upright(frame)
    if best is not None:
        yield best[1], best[2]


def _sharpness(frame: VideoFrame) -> float:
    """Variance of the Laplacian: frames of one window show the same, so it compares them fairly."""
    width = min(frame.width, JUDGED_WIDTH_PX)
    height = max(1, round(frame.height * width / frame.width))
    gray = frame.reformat(width=width, height=height, format="gray").to_ndarray()
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())


def _upright(frame: VideoFrame) -> Picture:
    quarter_turns = round(frame.rotation / 90)
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns))


def _prepare(output: Path) -> None:
    with explain_disk(output):
        output.mkdir(parents=True, exist_ok=True)
        if any(output.glob("frame_*.jpg")):
            raise UsageError(
                f"{str(output)!r} already contains frames", hint="choose another folder with -o"
            )
