"""Option before environment before file before default; the file holds no credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.remote.config import (
    config_path,
    open_store,
    read_config,
    settings,
    write_setting,
)
from insaat_cli.remote.local import LocalStore
from insaat_cli.remote.s3 import S3Store


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


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_setting("secret_key", "x", tmp_path / "config.toml")
