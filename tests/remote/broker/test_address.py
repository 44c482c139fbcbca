"""Addresses of brokers: what they mean, what is refused, and that no password is ever shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from insaat_cli.errors import MissingError, UsageError
from insaat_cli.remote.broker import broker as broker_module
from insaat_cli.remote.broker.address import BrokerAddress, Scheme
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.link import BrokerError
from insaat_cli.remote.connections import open_broker, shown_value

SECRET = "s3cr/t@x"
ENCODED = "s3cr%2Ft%40x"


def test_amqp() -> None:
    found = BrokerAddress.parse(f"amqp://me:{ENCODED}@mq.example.org/team?queue=models")
    assert (found.host, found.port, found.path, found.queue) == (
        "mq.example.org",
        5672,
        "team",
        "models",
    )
    assert (found.user, found.password, found.encrypted) == ("me", SECRET, False)
    assert found.events == "models.events"
    assert BrokerAddress.parse("amqps://mq").port == 5671
    assert BrokerAddress.parse("amqp://mq/").path == "/"
    assert BrokerAddress.parse("amqp://mq/%2Fa").path == "/a"


def test_redis() -> None:
    found = BrokerAddress.parse(f"rediss://:{ENCODED}@[::1]:7000/3")
    assert (found.host, found.port, found.path, found.encrypted) == ("::1", 7000, "3", True)
    assert found.shown == "rediss://[::1]:7000/3, queue insaat"
    assert BrokerAddress.parse("redis://r").path == "0"


def test_sqs() -> None:
    found = BrokerAddress.parse("sqs://sqs.eu-west-1.amazonaws.com/123456789012/models")
    assert (found.queue, found.region) == ("models", "eu-west-1")
    assert found.endpoint == "https://sqs.eu-west-1.amazonaws.com:443"
    assert not Scheme.SQS.has_fan_out
    plain = BrokerAddress.parse("sqs://127.0.0.1:5000/1/q?tls=no")
    assert (plain.endpoint, plain.region) == ("http://127.0.0.1:5000", None)


@pytest.mark.parametrize(
    "text",
    [
        "insaat",
        "ftp://x/y",
        "amqp://",
        f"amqp://u:{SECRET}@h:port/",
        "amqp://h/?queue=a b",
        "amqp://h/?queue=a/b",
        "amqp://h/?queue=",
        "amqp://h/?ssl_cert_reqs=none",
        "amqp://h/#x",
        "amqp://[h/",
        "redis://h/db",
        "redis+socket:///tmp/redis.sock",
        "pickle://h",
        "sqs://sqs.eu-west-1.amazonaws.com",
        "sqs://sqs.eu-west-1.amazonaws.com/name",
        f"sqs://key:{ENCODED}@sqs.eu-west-1.amazonaws.com/1/name",
        "https://sqs.eu-west-1.amazonaws.com/1/name",
    ],
)
def test_what_is_no_address_and_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        BrokerAddress.parse(text)
    said = f"{caught.value} {caught.value.hint} {caught.value.__context__!r}"
    assert SECRET not in said and ENCODED not in said and "s3cr" not in caught.value.message


def test_no_broker_unless_asked_for(tmp_path: Path) -> None:
    assert open_broker({}, {"XDG_CONFIG_HOME": str(tmp_path)}) is None


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kombu", "redis"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(broker_module, "find_spec", lambda name: None if name == "redis" else 1)
    assert open_broker({"broker": "amqp://h"}, {"HOME": "/"}) is not None
    with pytest.raises(MissingError, match="redis") as caught:
        open_broker({"broker": "redis://h"}, {"HOME": "/"})
    assert "insaat-cli[broker]" in caught.value.hint


def test_the_password_is_never_shown() -> None:
    text = f"amqp://someone:{ENCODED}@127.0.0.1:9/"
    broker = Broker(address=BrokerAddress.parse(text))
    for shown in (repr(broker), str(broker.address), broker.address.shown):
        assert "s3cr" not in shown and "someone" not in shown
    assert shown_value("broker", text) == "amqp://127.0.0.1:9/, queue insaat"
    assert shown_value("broker", "amqp//:s3cr@") == "(invalid)"
    for form in (SECRET, ENCODED):
        assert broker.address.without_secrets(f"a {form} b") == "a *** b"


def test_an_error_of_the_library_is_told_without_the_password() -> None:
    broker = Broker(address=BrokerAddress.parse(f"redis://someone:{ENCODED}@127.0.0.1:9/0"))
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:9") as caught:
        broker.link()
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert "s3cr" not in caught.value.message
