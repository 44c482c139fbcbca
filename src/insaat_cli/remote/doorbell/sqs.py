"""An SQS queue, as far as a doorbell needs one. Credentials come from boto3's own chain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from insaat_cli.errors import StoreError, UsageError
from insaat_cli.remote.store.aws import open_session
from insaat_cli.remote.store.s3_errors import faults

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
LONGEST_VISIBILITY_S = 12 * 3600
"""SQS hides a message no longer."""
AWS_HOST = re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")


@dataclass(frozen=True)
class Message:
    """`receipt` is good until it is received again, by whomever."""

    text: str
    receipt: str


class SqsQueue:
    """Raises StoreError for what SQS or the line to it refuses. Threads may share it."""

    def __init__(
        self, url: str, *, region: str | None = None, profile: str | None = None, wait_s: int = 20
    ) -> None:
        parts = checked_url(url)
        self.url = url
        self._wait_s = wait_s
        # boto3 would go to AWS whatever the address says.
        self._endpoint = f"{parts.scheme}://{parts.netloc}"
        named = AWS_HOST.fullmatch(parts.hostname or "")
        self._region = named[1] if named else region
        self._session = open_session(profile)
        self._quick = self._client(READ_SECONDS)
        self._slow = self._client(READ_SECONDS + wait_s)

    def send(self, text: str) -> None:
        with faults("send a message to", self.url):
            self._quick.send_message(QueueUrl=self.url, MessageBody=text)

    def receive(self, visibility_s: float) -> Message | None:
        """One message, hidden from others for so long; None if none came while we waited."""
        with faults("receive messages from", self.url):
            reply = self._slow.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=self._wait_s,
                VisibilityTimeout=_seconds(visibility_s),
            )
        for found in reply.get("Messages", []):
            return Message(str(found["Body"]), str(found["ReceiptHandle"]))
        return None

    def hide(self, message: Message, seconds: float) -> None:
        """From now on for `seconds`; 0: let others have it at once."""
        with faults("hide a message in", self.url):
            self._quick.change_message_visibility(
                QueueUrl=self.url,
                ReceiptHandle=message.receipt,
                VisibilityTimeout=_seconds(seconds),
            )

    def delete(self, message: Message) -> None:
        with faults("delete a message from", self.url):
            self._quick.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)

    def visible(self) -> int:
        """About how many messages wait to be received."""
        name = "ApproximateNumberOfMessages"
        with faults("count the messages in", self.url):
            reply = self._quick.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(reply["Attributes"][name])

    def _client(self, read_seconds: float) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            retries={"total_max_attempts": 2, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
        )
        region = self._region or self._session.region_name or "us-east-1"
        try:
            return self._session.client(
                "sqs", endpoint_url=self._endpoint, region_name=region, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f"cannot use {self.url}: {error}") from error


def checked_url(url: str) -> SplitResult:
    """The parts of a queue's address; UsageError where it cannot be one."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and len(parts.path) > 1
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            f"invalid SQS queue address {url!r}",
            hint="use https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
        )
    return parts


def _seconds(seconds: float) -> int:
    return max(0, min(LONGEST_VISIBILITY_S, round(seconds)))
