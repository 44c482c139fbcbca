"""Where the store is: option, environment, file, default, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from insaat_cli.config_file import (
    MEANING,
    VARIABLES,
    Setting,
    config_path,
    read_config,
    setting_of,
    write_setting,
)
from insaat_cli.errors import UsageError
from insaat_cli.remote.doorbell import Doorbell
from insaat_cli.remote.local import LocalStore
from insaat_cli.remote.s3 import S3Address, S3Store
from insaat_cli.remote.sqs import SqsQueue
from insaat_cli.remote.store import Store

__all__ = [
    "MEANING",
    "Setting",
    "config_path",
    "open_bell",
    "open_store",
    "read_config",
    "settings",
    "write_setting",
]


def settings(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> dict[str, Setting]:
    """Every setting that has a value."""
    found = {
        name: setting
        for name in VARIABLES
        if (setting := setting_of(name, options.get(name), environment))
    }
    found.setdefault("remote", Setting(str(default_folder(environment)), "default"))
    return found


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The queue of this user on this machine."""
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "insaat" / "queue"


def open_store(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> Store:
    """The store that the settings name."""
    found = {name: setting.value for name, setting in settings(options, environment).items()}
    remote = found["remote"]
    if remote.startswith("s3://"):
        address = S3Address.parse(
            remote,
            endpoint=found.get("endpoint") or _aws_endpoint(environment),
            region=found.get("region"),
            profile=found.get("profile"),
        )
        return S3Store(address)
    if "://" in remote and not remote.startswith("file://"):
        raise UsageError(
            f"{remote!r} is not a store", hint="write s3://bucket/prefix, or the path of a folder"
        )
    return LocalStore(Path(remote.removeprefix("file://")).expanduser())


def open_bell(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> Doorbell | None:
    """The doorbell that the settings name, if any."""
    found = {name: setting.value for name, setting in settings(options, environment).items()}
    url = found.get("queue_url")
    if not url:
        return None
    return Doorbell(SqsQueue(url, region=found.get("region"), profile=found.get("profile")))


def _aws_endpoint(environment: Mapping[str, str]) -> str | None:
    """boto3's own variables; known here so that such servers get the older checksum mode."""
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
