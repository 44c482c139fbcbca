"""A broker in memory, as far as `Link` shows one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from insaat_cli.remote.broker.address import BrokerAddress
from insaat_cli.remote.broker.link import BrokerError
from insaat_cli.remote.broker.messages import CONTENT_TYPE, JobEvent, text_of


@dataclass
class FakeMessage:
    """Remembers what was done with it."""

    body: str | bytes
    fates: list[str] = field(default_factory=list)
    content_type: str = CONTENT_TYPE

    def ack(self) -> None:
        self.fates.append("ack")

    def requeue(self) -> None:
        self.fates.append("requeue")


class FakeBroker:
    """What `link` opens connections to. `down` as long as it is wanted."""

    def __init__(self) -> None:
        self.down = False
        self.rung: list[str] = []
        self.told: list[JobEvent] = []
        self.queue: deque[FakeMessage] = deque()
        self.opened = self.closed = 0
        self.log: list[str] = []
        self.lock = threading.Lock()

    def link(self, **options: Any) -> FakeLink:
        self.check()
        self.opened += 1
        return FakeLink(self)

    def check(self) -> None:
        if self.down:
            raise BrokerError("no answer")

    def send(self, body: str | bytes, content_type: str = CONTENT_TYPE) -> FakeMessage:
        message = FakeMessage(body, content_type=content_type)
        self.queue.append(message)
        return message


class FakeLink:
    """In place of a `Link`."""

    must_drain = False
    address = BrokerAddress.parse("amqp://fake")

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.on_message: Callable[[Any], object] | None = None
        self.consuming = False

    def close(self) -> None:
        self.broker.closed += 1

    def ring(self, job: str) -> None:
        self.broker.check()
        self.broker.rung.append(job)
        self.broker.queue.append(FakeMessage(text_of(job)))

    def tell(self, event: JobEvent) -> None:
        self.broker.check()
        self.broker.told.append(event)

    def waiting(self) -> int:
        self.broker.check()
        return len(self.broker.queue)

    def listen(self, on_message: Callable[[Any], object]) -> FakeLink:
        self.on_message = on_message
        return self

    def consume(self) -> None:
        self.consuming = True

    def cancel(self) -> None:
        self.consuming = False

    def do(self, what: str, action: Callable[[], object]) -> None:
        self.broker.check()
        action()

    def drain(self, seconds: float) -> None:
        end = time.monotonic() + min(seconds, 0.05)
        while time.monotonic() < end:
            self.broker.check()
            if self.consuming and self.broker.queue:
                assert self.on_message is not None
                self.on_message(self.broker.queue.popleft())
                return
            time.sleep(0.005)
