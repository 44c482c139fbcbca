"""Names, sizes and times for people."""

from __future__ import annotations

import math

import pytest

from insaat_cli.formatting import counted, duration, printable, size, without_passwords


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0.0 s"),
        (3.44, "3.4 s"),
        (42.4, "42 s"),
        (59.6, "1:00 min"),
        (125.0, "2:05 min"),
        (3599.7, "1:00:00 h"),
        (3725.0, "1:02:05 h"),
        (math.inf, "?"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 MB"),
        (1, "1 kB"),
        (11_800, "12 kB"),
        (999_000, "999 kB"),
        (999_001, "1 MB"),
        (840_000_000, "840 MB"),
        (1_340_000_000, "1.3 GB"),
    ],
)
def test_size(size_bytes: int, words: str) -> None:
    assert size(size_bytes) == words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("çığ 山 it's.jpg", "çığ 山 it's.jpg"),
        ("a\nb\t\x1b[2J", r"a\nb\t\x1b[2J"),
        ("right\u202eleft", r"right\u202eleft"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_names_stay_on_one_line_and_command_no_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_counted() -> None:
    assert [counted(n, "photo") for n in (0, 1, 2)] == ["0 photos", "1 photo", "2 photos"]
    assert counted(2, "copy", "copies") == "2 copies"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--broker amqp://me:secret@host/v", "--broker amqp://***@host/v"),
        ("['redis://:p%40ss@h', 'a@b']", "['redis://***@h', 'a@b']"),
        ("amqp://me:se/cr@t@host", "amqp://***@host"),
        ("https://host/a@b c@d", "https://***@b c@d"),
        ("https://host/path me@example.org", "https://host/path me@example.org"),
    ],
)
def test_addresses_are_shown_without_their_login(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
