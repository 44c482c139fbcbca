"""Option before environment before file before default; the file holds no credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.cli.app import run
from insaat_cli.config import write_setting
from insaat_cli.errors import InsaatError, StoreError, UsageError
from insaat_cli.remote.connections import (
    CHECKS,
    MEANING,
    change_setting,
    config_path,
    open_store,
    read_config,
    settings,
)
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.s3_store import S3Store


def test_the_order_of_origins(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    assert settings({}, environment)["remote"].value == str(tmp_path / "data/insaat/queue")
    write_setting("remote", 's3://from-file/é "x"', config_path(environment))
    assert settings({}, environment)["remote"].value == 's3://from-file/é "x"'
    environment["INSAAT_REMOTE"] = "s3://from-environment"
    assert settings({}, environment)["remote"].origin == "INSAAT_REMOTE"
    assert settings({"remote": "/x"}, environment)["remote"].value == "/x"
    write_setting("remote", "", config_path(environment))
    assert read_config(config_path(environment)) == {}


def test_kinds_of_stores(tmp_path: Path) -> None:
    assert isinstance(open_store({"remote": str(tmp_path / "q")}, {}), LocalStore)
    store = open_store({"remote": "s3://bucket/a/b"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert isinstance(store, S3Store) and store.address.prefix == "a/b"
    assert store.address.endpoint == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "remote", ["s3://", "s3:///x", "ftp://x", "s3://bucket/a b", "s3://b/../c"]
)
def test_bad_addresses(remote: str) -> None:
    with pytest.raises(UsageError):
        open_store({"remote": remote}, {})


@pytest.mark.parametrize("text", ["remote = 1", "aws_secret = 'x'", "remote = ", "\0"])
def test_bad_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_config(path)


def test_a_setting_of_an_earlier_version_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("queue_url = 'https://sqs.eu-west-1.amazonaws.com/1/q'\nregion = 'eu-west-1'\n")
    assert read_config(path) == {"region": "eu-west-1"}
    write_setting("region", "eu-west-2", path)
    assert "queue_url" not in path.read_text()


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_setting("secret_key", "x", tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote", "ftp://x"),
        ("remote", "s3://"),
        ("remote", "s3://bucket/a b"),
        ("remote", "~nobody-of-this-name/queue"),
        ("endpoint", "localhost:8333"),
        ("endpoint", "ftp://host"),
        ("endpoint", "https://host:port"),
        ("region", "eu west"),
        ("profile", "there-is-none"),
        ("broker", "https://sqs.eu-west-1.amazonaws.com/1/name"),
        ("broker", "amqp://[host/"),
        ("max_memory", "much"),
        ("max_memory", "1"),
    ],
)
def test_values_that_their_user_would_refuse_cannot_be_set(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InsaatError) as refused:
        change_setting(name, value, config_path())
    assert refused.value.hint
    assert run(["config", name, value]) == refused.value.code
    assert read_config(config_path()) == {}


def test_values_that_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    (tmp_path / "aws").write_text("[profile work]\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    given = {
        "max_memory": "60%",
        "remote": "s3://bucket/prefix",
        "endpoint": "http://[::1]:8333",
        "region": "eu-west-1",
        "profile": "work",
        "broker": "amqps://me:pass%2Fword@host/vhost",
    }
    assert set(given) == set(CHECKS) == set(MEANING)
    for name, value in given.items():
        change_setting(name, value, path)
    assert read_config(path) == given
    assert path.stat().st_mode & 0o777 == 0o600, "it holds a password"
    change_setting("remote", "", path)
    assert "remote" not in read_config(path)


def test_folder_is_kept_for_commands_given_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.toml"
    change_setting("remote", "queue", path)
    assert read_config(path) == {"remote": str(tmp_path / "queue")}
    assert not (tmp_path / "queue").exists()
    path.touch()
    with pytest.raises(StoreError, match="is a file"):
        change_setting("remote", "config.toml", path)
