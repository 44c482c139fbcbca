"""Maps in COLMAP's format, from bytes as COLMAP writes them."""

import struct
from pathlib import Path

import numpy as np
import pytest

from insaat_cli.engine.colmap.map_files import read_map, write_map
from insaat_cli.errors import StageError


def test_channels_come_one_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "normals.bin"
    file.write_bytes(b"2&1&3&" + struct.pack("<6f", 1, 2, 3, 4, 5, 6))
    values = read_map(file)
    assert values.dtype == np.float32
    assert values.tolist() == [[[1, 3, 5], [2, 4, 6]]]


def test_a_first_value_that_looks_like_a_separator(tmp_path: Path) -> None:
    file = tmp_path / "depth.bin"
    file.write_bytes(b"1&1&1&&&&&")
    assert read_map(file).tobytes() == b"&&&&"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    write_map(tmp_path / "map.bin", values)
    assert np.array_equal(read_map(tmp_path / "map.bin"), values)


@pytest.mark.parametrize(
    "content", [b"", b"2&2&1&1234", b"2&2", b"PNG\x00\x01\x02", b"-1&-1&1&1234", b"0&1&1&"]
)
def test_what_is_cut_or_something_else_is_an_expected_fault(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "map.bin"
    file.write_bytes(content)
    with pytest.raises(StageError, match=r"map\.bin"):
        read_map(file)
