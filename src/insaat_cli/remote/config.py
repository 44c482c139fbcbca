"""Where the store is: option, environment, file, default, in this order.

The file holds addresses and names, never credentials; those are boto3's own business.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import InsaatError, UsageError
from insaat_cli.remote.local import LocalStore
from insaat_cli.remote.s3 import S3Address, S3Store
from insaat_cli.remote.store import Store

VARIABLES = {
    "remote": "INSAAT_REMOTE",
    "endpoint": "INSAAT_S3_ENDPOINT",
    "region": "INSAAT_S3_REGION",
    "profile": "INSAAT_S3_PROFILE",
}
MEANING = {
    "remote": "the store: s3://bucket/prefix, or a folder",
    "endpoint": "address of an S3 server that is not AWS: https://host:port",
    "region": "region of the bucket",
    "profile": "AWS profile whose credentials to use",
}


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: str
    origin: str


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "insaat" / "config.toml"


def settings(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> dict[str, Setting]:
    """Every setting that has a value."""
    path = config_path(environment)
    from_file = read_config(path)
    found: dict[str, Setting] = {}
    for name, variable in VARIABLES.items():
        if option := options.get(name):
            found[name] = Setting(option, "option")
        elif environment.get(variable):
            found[name] = Setting(environment[variable], variable)
        elif name in from_file:
            found[name] = Setting(from_file[name], str(path))
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


def _aws_endpoint(environment: Mapping[str, str]) -> str | None:
    """boto3's own variables; known here so that such servers get the older checksum mode."""
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")


def read_config(path: Path) -> dict[str, str]:
    """Known settings in the file; {} if there is none."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    for name, value in raw.items():
        if name not in VARIABLES or not isinstance(value, str):
            raise UsageError(
                f"{path}: {name!r} is not a setting", hint=f"there is {', '.join(VARIABLES)}"
            )
    return raw


def write_setting(name: str, value: str, path: Path) -> None:
    """Set one value in the file, or remove it with an empty one."""
    if name not in VARIABLES:
        raise UsageError(f"there is no setting {name!r}", hint=f"there is {', '.join(VARIABLES)}")
    if not all(character.isprintable() for character in value):
        raise UsageError(f"{name} has characters that are not allowed")
    values = {**read_config(path), name: value}
    lines = [
        f"{key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in values.items() if text
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.write_text("".join(lines), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InsaatError(f"cannot write {path}: {error}") from error
