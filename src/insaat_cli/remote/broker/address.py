"""The address of a broker. It may hold a password, so its text is never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from insaat_cli.errors import UsageError

DEFAULT_QUEUE = "insaat"
QUEUE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
AWS_HOST = re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
HINT = (
    "use amqp://USER:PASSWORD@HOST/VHOST, redis://:PASSWORD@HOST:6379/0 (amqps and rediss for TLS) "
    "or sqs://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE"
)


class Scheme(StrEnum):
    """The kinds of brokers, and whether the connection is encrypted."""

    AMQP = "amqp"
    AMQPS = "amqps"
    REDIS = "redis"
    REDISS = "rediss"
    SQS = "sqs"

    @property
    def default_port(self) -> int:
        return {"amqp": 5672, "amqps": 5671, "sqs": 443}.get(self.value, 6379)

    @property
    def has_fan_out(self) -> bool:
        """Whether one message can reach everybody who listens: SQS would need SNS beside it."""
        return self is not Scheme.SQS


AMQP = frozenset({Scheme.AMQP, Scheme.AMQPS})
REDIS = frozenset({Scheme.REDIS, Scheme.REDISS})


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Where the broker is, how to log in, and which queue of it is ours."""

    scheme: Scheme
    host: str
    port: int
    path: str
    """AMQP: the virtual host. Redis: the number of the database. SQS: ACCOUNT/QUEUE."""
    queue: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    encrypted: bool = True
    """SQS: https, unless the address ends with ?tls=no."""

    @classmethod
    def parse(cls, text: str) -> BrokerAddress:
        """UsageError, which does not repeat `text`, where it cannot be an address."""
        try:
            parts = urlsplit(text)
            scheme = Scheme(parts.scheme)
            port = parts.port or scheme.default_port
            query = dict(
                parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
            )
        except ValueError:
            _refuse("unknown kind of broker, or a port that is not a number")
        if not parts.hostname or parts.fragment or re.search(r"\s", text):
            _refuse("no host, or a character that needs percent-encoding")
        path, queue = _path(scheme, parts), query.pop("queue", DEFAULT_QUEUE)
        if scheme is Scheme.SQS:
            queue = path.rpartition("/")[2]
        encrypted = scheme in {Scheme.AMQPS, Scheme.REDISS}
        if scheme is Scheme.SQS:
            encrypted = query.pop("tls", "yes") != "no"
            port = parts.port or (443 if encrypted else 80)
        if query:
            _refuse("unknown parameter after the question mark")
        if not QUEUE_PATTERN.fullmatch(queue):
            _refuse("a queue's name has up to 63 letters, digits, hyphens and underscores")
        return cls(
            scheme=scheme,
            host=parts.hostname,
            port=port,
            path=path,
            queue=queue,
            user=_decoded(parts.username),
            password=_decoded(parts.password),
            encrypted=encrypted,
        )

    @property
    def shown(self) -> str:
        """For logs and people: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        named = "" if self.scheme is Scheme.SQS else f", queue {self.queue}"
        return f"{self.scheme}://{host}:{self.port}/{quote(self.path.strip('/'))}{named}"

    @property
    def events(self) -> str:
        """The name of the fan-out exchange."""
        return f"{self.queue}.events"

    @property
    def endpoint(self) -> str:
        """SQS: the address of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.encrypted else 'http'}://{host}:{self.port}"

    @property
    def region(self) -> str | None:
        """SQS of AWS: the region that the host's name holds."""
        named = AWS_HOST.fullmatch(self.host)
        return named[1] if named else None

    def without_secrets(self, text: str) -> str:
        """`text`, which a library wrote, without user and password."""
        for secret in (self.password, self.user):
            for form in {secret, quote(secret, safe="")} if secret else ():
                text = text.replace(form, "***")
        return text


def _path(scheme: Scheme, parts: SplitResult) -> str:
    path = unquote(parts.path.removeprefix("/"))
    if scheme in REDIS:
        if path and not re.fullmatch(r"[0-9]{1,4}", path):
            _refuse("the path of a Redis address is the number of a database")
        return path or "0"
    if scheme is Scheme.SQS:
        if not re.fullmatch(r"[0-9A-Za-z_-]+/[0-9A-Za-z_-]+", path):
            _refuse("the path of an SQS address is ACCOUNT/QUEUE")
        if parts.username or parts.password:
            _refuse("credentials of SQS come from the environment, a profile or a role")
        return path
    return path or "/"


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None


def _refuse(why: str) -> NoReturn:
    raise UsageError(f"invalid broker address: {why}", hint=HINT) from None
