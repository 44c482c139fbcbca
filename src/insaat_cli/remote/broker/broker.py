"""The broker that the settings name: opens links to it, and speaks for commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec

from insaat_cli.errors import MissingError
from insaat_cli.remote.broker.address import REDIS, BrokerAddress
from insaat_cli.remote.broker.inbox import BrokerInbox
from insaat_cli.remote.broker.link import HEARTBEAT_S, BrokerError, Link
from insaat_cli.remote.broker.listener import Listener, Wakes
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.broker.outages import log
from insaat_cli.remote.broker.publisher import Publisher
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.queue.queue import Queue


@dataclass(frozen=True, kw_only=True)
class Broker:
    """`profile` and `region` are for SQS."""

    address: BrokerAddress
    profile: str | None = None
    region: str | None = None

    def check_packages(self) -> None:
        """Raises MissingError where what this kind of broker needs is not installed."""
        needed = ("kombu", "redis") if self.address.scheme in REDIS else ("kombu",)
        for package in needed:
            # kombu, once loaded, has no spec.
            if package not in sys.modules and find_spec(package) is None:
                raise MissingError(
                    f"--broker needs the package {package}",
                    hint="pip install 'insaat-cli[broker]'",
                )

    def link(self, *, heartbeat_s: int = 0) -> Link:
        """A connection for the calling thread. Raises BrokerError."""
        return Link(self.address, profile=self.profile, region=self.region, heartbeat_s=heartbeat_s)

    def announce(self, event: JobEvent) -> None:
        """Tell that a job changed, and ring if it waits. After the commit, never before.

        Best effort, within seconds: polling makes good what is lost."""
        try:
            link = self.link()
            try:
                if event.state is Status.QUEUED:
                    link.ring(event.job)
                link.tell(event)
            finally:
                link.close()
        except BrokerError as error:
            log.warning("job %s: not announced, workers will find it: %s", event.job, error.message)

    def inbox(self, queue: Queue, wake: Wakes, tags: tuple[str, ...]) -> BrokerInbox:
        """For a worker, which is woken through `wake`."""
        return BrokerInbox(
            Listener(lambda: self.link(heartbeat_s=HEARTBEAT_S), wake),
            Publisher(self.link),
            queue,
            tags=tags,
        )
