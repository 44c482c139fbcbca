"""One open connection to a broker, through kombu. Belongs to one thread.

Whatever a broker, its library or a forged message does becomes a BrokerError without credentials.
Bodies are never decoded by kombu: `messages.job_of` reads them, as JSON, under a limit.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from insaat_cli.errors import InsaatError, StoreError
from insaat_cli.remote.broker.address import AMQP, REDIS, BrokerAddress, Scheme
from insaat_cli.remote.broker.messages import CONTENT_TYPE, JobEvent, text_of

CONNECT_S = 3.0
ANSWER_S = 5.0
HEARTBEAT_S = 30
MAX_MESSAGES = 10_000
MAX_BYTES = 10_000_000
MESSAGE_LIFE_S = 24 * 3600
MAX_EVENTS = 10_000
EVENT_LIFE_S = 3600
UNCLAIMED_S = 120
"""Redis: until what a dead worker had received and not acknowledged is offered again."""
LONG_POLL_S = 10
"""SQS: how long a request for messages waits for one."""


class BrokerError(StoreError):
    """The broker is unreachable, or refused."""


class Link:
    """Raises BrokerError throughout."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        profile: str | None = None,
        region: str | None = None,
        heartbeat_s: int = 0,
    ) -> None:
        self.address = address
        self._beats = heartbeat_s > 0 and address.scheme in AMQP
        with self._faults("connect to"):
            self._connection = _connection(address, profile, region, heartbeat_s)
            try:
                self._connection.connect()
                self._channel = self._connection.default_channel
                self._jobs = self._job_queue()
                if address.scheme is not Scheme.SQS:  # made by its operator; we may lack the right
                    self._jobs(self._channel).declare()
                self._events = self._event_exchange()
                self._producer = self._connection.Producer(self._channel)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Give back what was received and not settled, and disconnect."""
        with suppress(Exception):
            self._connection.release()

    def ring(self, job: str) -> None:
        """Ask whoever is idle to look at `job`; a queue that is full already gets no more."""
        if self.address.scheme in REDIS and self.waiting() >= MAX_MESSAGES:
            raise BrokerError(f"{self.address.shown}: {MAX_MESSAGES} messages wait already")
        self._publish(text_of(job), exchange="", routing_key=self.address.queue, delivery_mode=2)

    def tell(self, event: JobEvent) -> None:
        """Tell everybody who listens now."""
        if self._events is not None:
            self._publish(
                event.to_text(), exchange=self._events, declare=[self._events], delivery_mode=1
            )

    def waiting(self) -> int:
        """About how many messages ask for a look."""
        with self._faults("count the messages of"):
            return int(self._jobs(self._channel).queue_declare().message_count)

    def listen(self, on_message: Callable[[Any], object]) -> Any:
        """A consumer of the jobs' queue, one message at a time; it is to be told `consume`."""
        with self._faults("receive from"):
            self._channel.basic_qos(0, 1, False)
            return self._consumer(self._jobs, on_message)

    def overhear(self, on_message: Callable[[Any], object]) -> Any:
        """A consumer of a copy of every event from now on."""
        with self._faults("receive from"):
            if self._events is None:
                raise BrokerError(f"{self.address.shown} has no fan-out for events")
            consumer = self._consumer(self._ear(), on_message, no_ack=True)
            consumer.consume()
            return consumer

    def drain(self, seconds: float) -> None:
        """Wait for a message for so long, and keep the connection alive."""
        with self._faults("receive from"):
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=seconds)
            if self._beats:
                self._connection.heartbeat_check()

    @property
    def must_drain(self) -> bool:
        """Whether the connection dies if nobody reads from it, even one that wants no messages."""
        return self._beats

    def do(self, what: str, action: Callable[[], object]) -> None:
        """Anything else with a consumer or a message of this link."""
        with self._faults(what):
            action()

    def _publish(self, text: str, **options: Any) -> None:
        with self._faults("send to"):
            self._producer.publish(
                text.encode(),
                content_type=CONTENT_TYPE,
                content_encoding="utf-8",
                retry=False,
                timeout=ANSWER_S,
                **options,
            )

    def _consumer(self, queue: Any, on_message: Callable[[Any], object], **options: Any) -> Any:
        return self._connection.Consumer(
            [queue], channel=self._channel, on_message=on_message, accept=["json"], **options
        )

    def _job_queue(self) -> Any:
        from kombu import Queue

        limits = {
            "x-max-length": MAX_MESSAGES,
            "x-max-length-bytes": MAX_BYTES,
            "x-message-ttl": MESSAGE_LIFE_S * 1000,
        }
        return Queue(self.address.queue, durable=True, queue_arguments=limits)

    def _event_exchange(self) -> Any:
        from kombu import Exchange

        if not self.address.scheme.has_fan_out:
            return None
        return Exchange(self.address.events, type="fanout", durable=True)(self._channel)

    def _ear(self) -> Any:
        """A queue of our own, which ends with us. Redis subscribes, and keeps no queue."""
        from kombu import Queue, uuid

        amqp = self.address.scheme in AMQP
        return Queue(
            f"{self.address.events}.{uuid() if amqp else 'all'}",
            self._events,
            durable=False,
            exclusive=amqp,
            auto_delete=True,
            queue_arguments={"x-max-length": MAX_EVENTS, "x-message-ttl": EVENT_LIFE_S * 1000},
        )

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except InsaatError:
            raise
        except Exception as error:
            said = self.address.without_secrets(f"{error}".strip() or type(error).__name__)
            shown = self.address.shown
            # "from None": the library's own error may hold the password.
            raise BrokerError(f"cannot {what} {shown}: {said[:300]}") from None


def _connection(
    address: BrokerAddress, profile: str | None, region: str | None, heartbeat_s: int
) -> Any:
    from kombu import Connection

    kind, options = _transport(address, profile, region)
    return Connection(
        hostname=address.host,
        port=address.port,
        userid=address.user,
        password=address.password,
        virtual_host=address.path,
        transport=kind,
        ssl=_tls(address),
        connect_timeout=CONNECT_S,
        heartbeat=heartbeat_s,
        transport_options=options,
    )


def _transport(
    address: BrokerAddress, profile: str | None, region: str | None
) -> tuple[Any, dict[str, Any]]:
    if address.scheme is Scheme.SQS:
        from insaat_cli.remote.broker.sqs_transport import sqs_transport

        return sqs_transport(profile), {
            "predefined_queues": {address.queue: {"url": f"{address.endpoint}/{address.path}"}},
            "region": address.region or region or "us-east-1",
            "wait_time_seconds": LONG_POLL_S,
            "polling_interval": 0,
            "insaat_endpoint": address.endpoint,
        }
    if address.scheme in REDIS:
        return "redis", {
            "socket_connect_timeout": CONNECT_S,
            "socket_timeout": ANSWER_S,
            "socket_keepalive": True,
            "socket_keepalive_options": _keep_alive(),
            "visibility_timeout": UNCLAIMED_S,
            # Keys of our own: another program that uses kombu may use the same database.
            "unacked_key": f"{address.queue}.unacked",
            "unacked_index_key": f"{address.queue}.unacked_index",
            "unacked_mutex_key": f"{address.queue}.unacked_mutex",
        }
    return "pyamqp", {
        "confirm_publish": True,
        "read_timeout": ANSWER_S,
        "write_timeout": ANSWER_S,
    }


def _tls(address: BrokerAddress) -> Any:
    """The servers' certificates are checked against those that this system trusts."""
    if address.scheme is Scheme.AMQPS:
        context = {"purpose": ssl.Purpose.SERVER_AUTH, "check_hostname": True}
        return {"context": context, "server_hostname": address.host}
    if address.scheme is Scheme.REDISS:
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return False


def _keep_alive() -> dict[int, int]:
    """So that a peer that vanished is noticed within a minute."""
    import socket

    if sys.platform != "linux":
        return {}
    return {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
