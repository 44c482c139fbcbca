"""Connections open the store and broker named by option, environment, file or default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from insaat_cli.config import (
    MEANING,
    VARIABLES,
    Setting,
    config_path,
    home_folder,
    read_config,
    setting_of,
    write_setting,
)
from insaat_cli.errors import StoreError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.machine.limits import machine_limits
from insaat_cli.machine.memory_budget import parse_memory
from insaat_cli.remote.broker.address import BrokerAddress
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.store.aws import check_endpoint, check_region, open_session
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.store.s3_store import S3Address, S3Store

__all__ = [
    "MEANING",
    "Setting",
    "change_setting",
    "config_path",
    "open_broker",
    "open_store",
    "read_config",
    "settings",
    "shown_value",
]


def settings(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> dict[str, Setting]:
    """Return every setting that has a value."""
    found = {
        name: setting
        for name in VARIABLES
        if (setting := setting_of(name, options.get(name), environment))
    }
    found.setdefault("remote", Setting(str(default_folder(environment)), "default"))
    return found


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of this user's queue on this machine."""
    base = environment.get("XDG_DATA_HOME") or str(home_folder() / ".local" / "share")
    return Path(base) / "insaat" / "queue"


def open_store(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> Store:
    """Open the store that the settings name."""
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
    return LocalStore(_store_folder(remote))


def open_broker(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> Broker | None:
    """Return the broker that the settings name, if any; nothing is connected yet."""
    found = {name: setting.value for name, setting in settings(options, environment).items()}
    text = found.get("broker")
    if not text:
        return None
    broker = Broker(
        address=BrokerAddress.parse(text),
        profile=found.get("profile"),
        region=found.get("region"),
    )
    broker.check_packages()
    return broker


def shown_value(name: str, value: str) -> str:
    """Return a setting as it may be shown: the address of a broker without its password."""
    if name != "broker":
        return value
    try:
        return BrokerAddress.parse(value).shown
    except UsageError:
        return "(invalid)"


def change_setting(name: str, value: str, path: Path) -> None:
    """Check one value and write it to the file; an empty value removes the setting."""
    check = CHECKS.get(name)
    write_setting(name, check(value) if check and value else value, path)


def _checked_remote(value: str) -> str:
    if value.startswith("s3://"):
        S3Address.parse(value)
        return value
    # Absolute: the next command may be given elsewhere.
    return str(_store_folder(value).absolute())


def _store_folder(remote: str) -> Path:
    """Return the folder that `remote` names; UsageError if it names none, StoreError for a file."""
    path = remote.removeprefix("file://")
    if "://" in path:
        raise UsageError(
            f"invalid store {remote!r}", hint="use s3://bucket/prefix or the path of a folder"
        )
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"home folder not found: {printable(path)}", hint="use the path of a folder"
        ) from error
    if os.path.exists(folder) and not folder.is_dir():  # noqa: PTH110 (never raises)
        raise StoreError(
            f"{printable(path)} is a file, not a folder", hint="choose another --remote"
        )
    return folder


def _unchanged(check: Callable[[str], object]) -> Callable[[str], str]:
    def checked(value: str) -> str:
        check(value)
        return value

    return checked


CHECKS: Mapping[str, Callable[[str], str]] = {
    "max_memory": _unchanged(lambda text: parse_memory(text, machine_limits().memory_bytes)),
    "remote": _checked_remote,
    "endpoint": _unchanged(check_endpoint),
    "region": _unchanged(check_region),
    "profile": _unchanged(open_session),
    "broker": _unchanged(BrokerAddress.parse),
}
"""The check of each setting, which returns the text to store."""


def _aws_endpoint(environment: Mapping[str, str]) -> str | None:
    """Return the endpoint in boto3's own variables, so that it gets the older checksum mode."""
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
