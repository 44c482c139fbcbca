"""The user's settings: `~/.config/insaat/config.toml`, each of which a variable can override.

The file holds limits, addresses and names. Credentials of the store are boto3's own business; the
address of a broker may hold a password, so the file can be read by its owner only.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import UsageError

VARIABLES = {
    "max_memory": "INSAAT_MAX_MEMORY",
    "remote": "INSAAT_REMOTE",
    "endpoint": "INSAAT_S3_ENDPOINT",
    "region": "INSAAT_S3_REGION",
    "profile": "INSAAT_S3_PROFILE",
    "broker": "INSAAT_BROKER",
}
RETIRED = ("queue_url",)
"""Settings of earlier versions that a file may still hold."""
MEANING = {
    "max_memory": "memory budget for all stages together, such as 60% or 8G",
    "remote": "the store: s3://bucket/prefix, or a folder",
    "endpoint": "S3-compatible server other than AWS: https://host:port",
    "region": "region of the bucket",
    "profile": "AWS profile whose credentials to use",
    "broker": "broker that tells workers of new jobs: amqp://…, redis://… or sqs://…",
}


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: str
    origin: str


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or str(home_folder() / ".config")
    return Path(base) / "insaat" / "config.toml"


def home_folder() -> Path:
    """The user's; the root, where one without a name has none, as in containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def setting_of(
    name: str, option: str | None, environment: Mapping[str, str] = os.environ
) -> Setting | None:
    """The value of one setting: from the command line, the environment, the file; or None."""
    if option:
        return Setting(option, "option")
    if value := environment.get(VARIABLES[name]):
        return Setting(value, VARIABLES[name])
    path = config_path(environment)
    value = read_config(path).get(name)
    return Setting(value, str(path)) if value else None


def read_config(path: Path) -> dict[str, str]:
    """Known settings in the file; {} if there is none."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    for name in RETIRED:
        raw.pop(name, None)
    for name, value in raw.items():
        if name not in VARIABLES or not isinstance(value, str):
            raise UsageError(
                f"{path}: unknown setting {name!r}", hint=f"choose from {', '.join(VARIABLES)}"
            )
    return raw


def write_setting(name: str, value: str, path: Path) -> None:
    """Set one value in the file, or remove it with an empty one."""
    if name not in VARIABLES:
        raise UsageError(f"unknown setting {name!r}", hint=f"choose from {', '.join(VARIABLES)}")
    if not all(character.isprintable() for character in value):
        raise UsageError(f"{name} contains invalid characters")
    values = {**read_config(path), name: value}
    lines = [
        f"{key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in values.items() if text
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text("".join(lines), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}",
            hint="set XDG_CONFIG_HOME to a writable folder",
        ) from error
