"""What S3 and SQS have in common: a session of boto3, and the check of an address and a region."""

from __future__ import annotations

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
