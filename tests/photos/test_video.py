"""Pictures out of films that are made here, so that it is known which frames are sharp."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode, UsageError
from insaat_cli.photos.video import extract_frames

RATE = 20
SECONDS = 6
SHARP_EVERY = 5
WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fifth frame is sharp; the red channel's mean grows with time."""
    path = tmp_path_factory.mktemp("film") / "walk round it.mp4"
    random = np.random.default_rng(0)
    noise = random.integers(0, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(RATE * SECONDS):
            picture = noise if number % SHARP_EVERY == 2 else cv2.GaussianBlur(noise, (0, 0), 3)
            picture = picture.copy()
            picture[..., 0] = picture[..., 0] // 4 + number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_are_sharp_and_evenly_spaced(film: Path, tmp_path: Path) -> None:
    done = extract_frames(film, tmp_path / "out", count=12)
    assert [path.name for path in done.files] == [f"frame_{i:05d}.jpg" for i in range(1, 13)]
    assert done.video_seconds == pytest.approx(SECONDS, abs=0.1)
    steps = np.diff(done.seconds)
    assert steps.min() > 0.15 and steps.max() < 0.85
    numbers = np.rint(np.array(done.seconds) * RATE).astype(int)
    assert (numbers % SHARP_EVERY == 2).mean() > 0.8
    for path in done.files:
        with Image.open(path) as picture:
            assert picture.size == (WIDTH, HEIGHT)
            assert not picture.getexif()


def test_count_follows_from_the_length(film: Path, tmp_path: Path) -> None:
    assert len(extract_frames(film, tmp_path).files) == 20


def test_faults_are_explained(film: Path, tmp_path: Path) -> None:
    text = tmp_path / "no.mp4"
    text.write_text("this is no film")
    with pytest.raises(UsageError, match="cannot be read as a video"):
        extract_frames(text, tmp_path / "a")
    with pytest.raises(UsageError, match="video not found:"):
        extract_frames(tmp_path / "http:evil", tmp_path / "a")
    with pytest.raises(UsageError, match="only 120 frames; at least 500"):
        extract_frames(film, tmp_path / "a", count=500)
    assert not (tmp_path / "a").exists()
    extract_frames(film, tmp_path / "b", count=3)
    with pytest.raises(UsageError, match="already contains frames"):
        extract_frames(film, tmp_path / "b", count=3)


def test_a_photo_is_not_called_a_video_of_one_frame(tmp_path: Path) -> None:
    photo = tmp_path / "one.jpg"
    Image.new("RGB", (64, 48), (90, 120, 60)).save(photo)
    with pytest.raises(UsageError, match=r"'one\.jpg' is a picture, not a video"):
        extract_frames(photo, tmp_path / "a")


def test_playlists_cannot_reach_other_files(film: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:6,\nhttp://127.0.0.1:9/x.ts\n#EXTINF:6,\n{film}\n")
    with pytest.raises(UsageError):
        extract_frames(playlist, tmp_path / "a")


def test_a_cut_off_film_gives_what_it_has_or_says_so(film: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(UsageError):
        extract_frames(cut, tmp_path / "a", count=10)


def test_command_says_what_to_do_next(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["frames", str(film), "-o", str(tmp_path / "o"), "--count", "5"]) == ExitCode.DONE
    assert "insaat reconstruct" in capsys.readouterr().out
    assert run(["frames", str(tmp_path / "absent.mp4")]) == ExitCode.USAGE
