"""How long a presigned link lasts: no longer than the credentials that sign it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.credentials import RefreshableCredentials

from insaat_cli.display.job_text import shorter_link
from insaat_cli.remote.store.aws import credentials_left_s
from insaat_cli.remote.store.s3_store import S3Address, S3Store

WEEK_S = 7 * 24 * 3600


def role(hours: float) -> RefreshableCredentials:
    """Credentials as a role gives them, which end."""
    end = datetime.now(UTC) + timedelta(hours=hours)
    fields = {
        "access_key": "a",
        "secret_key": "b",
        "token": "c",
        "expiry_time": end.isoformat(),
    }
    return RefreshableCredentials.create_from_metadata(
        fields, refresh_using=lambda: fields, method="test"
    )


def session_with(credentials: Any) -> Any:
    session = boto3.session.Session(region_name="eu-west-1")
    session._session._credentials = credentials
    return session


def test_a_link_lasts_as_long_as_the_credentials_of_its_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "insaat_cli.remote.store.s3_store.open_session", lambda profile: session_with(role(5))
    )
    store = S3Store(S3Address(bucket="jobs", region="eu-west-1"))
    link = store.link("page.html", seconds=WEEK_S, filename="page.html")
    assert link is not None and link.seconds is not None
    assert 4.9 * 3600 < link.seconds <= 5 * 3600
    short = store.link("page.html", seconds=600, filename="page.html")
    assert short is not None and short.seconds == 600


def test_keys_of_a_user_do_not_end() -> None:
    assert credentials_left_s(boto3.session.Session()) == math.inf


def test_a_token_in_the_environment_ends_when_it_says_or_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert credentials_left_s(boto3.session.Session()) is None
    end = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    left_s = credentials_left_s(boto3.session.Session())
    assert left_s is not None and 3500 < left_s <= 3600


@pytest.mark.parametrize(
    ("valid_s", "words"),
    [
        (86_400.0, ""),
        (3725.0, "works for 1:02:05 h only"),
        (None, "ends with the temporary credentials"),
    ],
)
def test_share_says_so(valid_s: float | None, words: str) -> None:
    said = shorter_link(valid_s, 86_400.0)
    assert words in said and bool(said) == bool(words)
