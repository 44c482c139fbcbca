"""kombu's SQS, with the credentials, the server and the deadlines of the settings."""

from __future__ import annotations

from typing import Any

from insaat_cli.remote.store.aws import open_session

CONNECT_S = 3.0
ANSWER_S = 5.0


def sqs_transport(profile: str | None) -> Any:
    """A transport whose clients have boto3's own credentials, or those of `profile`.

    kombu's own would take neither a profile of ours nor a server beside AWS for a queue whose
    address is known. A class made here, so that kombu is imported only where it is used."""
    from botocore.config import Config
    from kombu.transport.SQS import Channel, Transport

    class OurChannel(Channel):  # type: ignore[misc]
        def new_sqs_client(self, region: str, *credentials: Any, **others: Any) -> Any:
            options = self.transport_options
            config = Config(
                retries={"total_max_attempts": 2, "mode": "standard"},
                connect_timeout=CONNECT_S,
                read_timeout=ANSWER_S + options["wait_time_seconds"],
            )
            return open_session(profile).client(
                "sqs", endpoint_url=options["insaat_endpoint"], region_name=region, config=config
            )

    class OurTransport(Transport):  # type: ignore[misc]
        Channel = OurChannel

    return OurTransport
