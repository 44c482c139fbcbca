"""What S3 and SQS have in common: a session of boto3, and the check of an address and a region."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from insaat_cli.errors import StoreError, UsageError


def open_session(profile: str | None) -> Any:
    """A session with the credentials of `profile`; StoreError where there is no such profile."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session(profile_name=profile)
    except BotoCoreError as error:
        raise StoreError(str(error), hint="check AWS_PROFILE and ~/.aws/config") from error


def credentials_left_s(session: Any) -> float | None:
    """For how long the credentials of `session` are good, in seconds: infinite for a user's keys,
    None for those of a role whose end is not said. What they sign is good no longer."""
    credentials = session.get_credentials()
    if credentials is None or not credentials.get_frozen_credentials().token:
        return math.inf
    end = getattr(credentials, "_expiry_time", None) or _said_end()
    if end is None:
        return None
    return max(0.0, (end - datetime.now(UTC)).total_seconds())


def _said_end() -> datetime | None:
    """As `aws configure export-credentials` and others put it into the environment."""
    try:
        end = datetime.fromisoformat(os.environ.get("AWS_CREDENTIAL_EXPIRATION", ""))
    except ValueError:
        return None
    return end if end.tzinfo else end.replace(tzinfo=UTC)


def check_endpoint(url: str) -> None:
    """UsageError unless `url` can be the address of a server."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket too many
        good = False
    if not good or any(character.isspace() for character in url):
        raise UsageError(
            f"invalid server address {url!r}",
            hint="use https://HOST or https://HOST:PORT",
        )


def check_region(name: str) -> None:
    """UsageError unless `name` can be part of a host's name, which is what regions become."""
    from botocore.exceptions import BotoCoreError
    from botocore.utils import validate_region_name

    try:
        validate_region_name(name)
    except BotoCoreError as error:
        raise UsageError(f"invalid region {name!r}", hint="use a name such as eu-west-1") from error
