"""A signed POST when a job ends, to the one address that the worker's operator set."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insaat_cli.errors import UsageError

TIMEOUT_S = 10.0
SIGNATURE_HEADER = "X-Insaat-Signature"
TIME_HEADER = "X-Insaat-Time"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    url: str
    secret: str

    def __repr__(self) -> str:
        return f"Webhook({self.url})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Webhook | None:
        """From INSAAT_WEBHOOK_URL and INSAAT_WEBHOOK_SECRET; None without an address."""
        url, secret = (
            environment.get("INSAAT_WEBHOOK_URL", ""),
            environment.get("INSAAT_WEBHOOK_SECRET", ""),
        )
        if not url:
            return None
        if not url.startswith(("https://", "http://")):
            raise UsageError("INSAAT_WEBHOOK_URL must start with https:// or http://")
        if not secret:
            raise UsageError("INSAAT_WEBHOOK_URL is set but INSAAT_WEBHOOK_SECRET is not")
        return cls(url=url, secret=secret)

    def send(self, payload: Mapping[str, Any]) -> None:
        """Raises OSError. The receiver checks `sign(secret, time, body)`, and the time."""
        body = json.dumps(payload).encode()
        sent_at = str(int(time.time()))
        request = urllib.request.Request(  # noqa: S310 - the operator's own http(s) address
            self.url,
            data=body,
            headers={
                "Content-Type": "application/json",
                TIME_HEADER: sent_at,
                SIGNATURE_HEADER: sign(self.secret, sent_at, body),
            },
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            pass


def sign(secret: str, sent_at: str, body: bytes) -> str:
    """`sha256=HEX`: HMAC-SHA256 over the time header, a dot, and the body."""
    mac = hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"
