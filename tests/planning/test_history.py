"""The history of measured costs: kept, bounded, robust, and what it corrects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.attempts import pretended
from tests.fakes.pipelines import Heard, fake_plan, three_stages

from insaat_cli.planning.cost_models import Correction, Workload
from insaat_cli.planning.history import (
    KEPT_PER_STAGE,
    MEMORY_BOUNDS,
    History,
    Measurement,
    correction,
    highest,
    state_folder,
)
from insaat_cli.runner.loop import Job, run_pipelines

LOAD = Workload(photos=10, largest_megapixels=4, mean_megapixels=4)


def measured(
    memory: float, time: float = 1.0, photos: int = 10, photo_set: str = ""
) -> Measurement:
    return Measurement(
        photo_set=photo_set,
        photos=photos,
        megapixels=4.0,
        model_bytes=1000,
        peak_bytes=int(1000 * memory),
        model_seconds=10.0,
        seconds=10.0 * time,
        threads=2,
    )


def test_what_is_added_comes_back_and_old_entries_go(tmp_path: Path) -> None:
    history = History(tmp_path / "deep" / "history.json")
    assert history.read() == {}
    for number in range(KEPT_PER_STAGE + 5):
        history.add("p/s/1", measured(1 + number))
    assert len(history.read()["p/s/1"]) == KEPT_PER_STAGE
    assert history.read()["p/s/1"][-1] == measured(KEPT_PER_STAGE + 5)
    history.clear()
    assert history.read() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"stages": 3}', '{"stages": {"a": 3}}', "\x00\xff", '{"stages": []}']
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(text, encoding="latin-1")
    assert History(path).read() == {}
    History(path).add("a", measured(1))
    assert History(path).read() == {"a": [measured(1)]}


def test_entries_that_make_no_sense_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    History(path).add("a", measured(1))
    raw = json.loads(path.read_text())
    raw["stages"]["a"] += [{}, 3, {**raw["stages"]["a"][0], "seconds": "soon"}]
    path.write_text(json.dumps(raw))
    assert History(path).read() == {"a": [measured(1)]}


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    History(tmp_path / "file" / "history.json").add("a", measured(1))


def test_what_another_process_adds_is_seen(tmp_path: Path) -> None:
    mine, other = (History(tmp_path / "history.json") for _ in range(2))
    mine.add("a", measured(1))
    other.add("a", measured(2))
    assert mine.read() == {"a": [measured(1), measured(2)]}
    mine.add("b", measured(3))
    assert other.read() == {"a": [measured(1), measured(2)], "b": [measured(3)]}
    other.clear()
    assert mine.read() == {}


def test_runs_side_by_side_parse_the_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.json"
    History(path).add("another/stage/1", measured(1))
    parsed: list[Path] = []
    read_text = Path.read_text

    def counted(file: Path, *arguments: Any, **options: Any) -> str:
        parsed.extend([file] * (file == path))
        return read_text(file, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    plans = [fake_plan(three_stages(), tmp_path / str(number)) for number in range(3)]
    with pretended() as attempts:
        run_pipelines([Job(plan=plan, listener=Heard()) for plan in plans], history=History(path))
    assert len(attempts) == 9
    assert len(parsed) == 1
    assert len(History(path).read()) == 1 + 3, "and every stage was added to it"


def test_nothing_known_corrects_nothing() -> None:
    assert correction([], LOAD) == Correction(memory=1.0, time=1.0)


def test_alike_runs_correct_by_the_highest_memory_and_the_middle_time() -> None:
    known = [measured(0.8, 1.0), measured(1.3, 3.0), measured(1.1, 2.0)]
    assert correction(known, LOAD) == Correction(memory=1.3, time=2.0)


def test_runs_of_another_size_count_only_where_there_are_no_others() -> None:
    far = measured(3.0, 5.0, photos=100)
    assert correction([measured(1.1), far], LOAD).memory == pytest.approx(1.1)
    assert correction([far], LOAD) == Correction(memory=3.0, time=5.0)


def test_an_outlier_cannot_correct_without_bound() -> None:
    assert correction([measured(1e6)], LOAD).memory == MEMORY_BOUNDS[1]
    nothing = [measured(0, photo_set="mill")]
    assert correction(nothing, LOAD, "mill").memory == MEMORY_BOUNDS[0]


def test_where_the_state_is_kept() -> None:
    assert state_folder({"INSAAT_STATE_DIR": "/s"}) == Path("/s")
    assert "insaat" in str(state_folder({"XDG_STATE_HOME": "relative"}))


def test_one_outlier_among_several_runs_does_not_count() -> None:
    assert highest([1.0, 1.1, 3.0]) == 1.1
    assert highest([1.0, 3.0]) == 3.0, "of two nobody knows which is the outlier"
    assert highest([1.0, 1.2, 1.3, 1.4]) == 1.4


def test_the_same_photos_say_most() -> None:
    known = [measured(2.0, photo_set="mill"), measured(0.5, photo_set="church")]
    assert correction(known, LOAD, "church").memory == pytest.approx(0.5)
    assert correction(known, LOAD, "mill").memory == pytest.approx(2.0)
    assert correction(known, LOAD, "bridge").memory == pytest.approx(2.0)


def test_little_memory_of_other_photos_is_half_believed() -> None:
    assert correction([measured(0.5)], LOAD, "church").memory == pytest.approx(0.75)
    assert correction([measured(1.5)], LOAD, "church").memory == pytest.approx(1.5)
