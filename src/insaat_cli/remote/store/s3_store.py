"""A store in an S3 bucket, through boto3: AWS, SeaweedFS, MinIO, R2, Ceph, any endpoint.

Clients that repeat what failed, for reads and for writes that may be repeated; and one that never
repeats, for conditional writes, because a repeated conditional write whose first reply
was lost would look like a lost race. Credentials come from boto3's own chain and from nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.errors import StoreError, UsageError
from insaat_cli.remote.store.aws import (
    check_endpoint,
    check_region,
    credentials_left_s,
    open_session,
)
from insaat_cli.remote.store.protocol import (
    MAX_OBJECT_BYTES,
    Blob,
    Entry,
    Facts,
    Link,
    NotThereError,
    Progress,
    check_key,
    check_length,
)
from insaat_cli.remote.store.s3_errors import conditional_faults, faults
from insaat_cli.remote.store.s3_multipart import MULTIPART_FROM_BYTES, abort_uploads, upload_parts

CHUNK_BYTES = 1 << 20
CONNECT_SECONDS = 5.0
SMALL_READ_SECONDS = 10.0
"""Much shorter than a lease: a request that hangs must leave time to look what became of it."""
BULK_READ_SECONDS = 60.0
SMALL_ATTEMPTS = 3
BULK_ATTEMPTS = 5
POOL_CONNECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class S3Address:
    """Where the objects are. `endpoint` None: what the AWS environment says, else AWS itself."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
    ) -> S3Address:
        """From `s3://bucket/prefix`."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket:
            raise UsageError(f"invalid S3 address {url!r}", hint="use s3://bucket/prefix")
        prefix = prefix.strip("/")
        if prefix:
            try:
                check_key(prefix)
            except Exception:
                raise UsageError(
                    f"the prefix {prefix!r} contains invalid characters",
                    hint="use letters, digits and ! _ . + = - between slashes",
                ) from None
        if endpoint:
            check_endpoint(endpoint)
        if region:
            check_region(region)
        return cls(bucket=bucket, prefix=prefix, endpoint=endpoint, region=region, profile=profile)


class S3Store:
    """Objects below `address.prefix` of one bucket."""

    def __init__(self, address: S3Address) -> None:
        self.address = address
        session = open_session(address.profile)
        self._session = session
        self._plain = self._client(session, SMALL_ATTEMPTS, SMALL_READ_SECONDS)
        self._bulk = self._client(session, BULK_ATTEMPTS, BULK_READ_SECONDS)
        self._once = self._client(session, 1, SMALL_READ_SECONDS)

    def describe(self) -> str:
        at = f" at {self.address.endpoint}" if self.address.endpoint else ""
        return f"s3://{self.address.bucket}/{self.address.prefix}".rstrip("/") + at

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        from botocore.exceptions import ClientError

        with faults("read", self.describe()):
            try:
                reply = self._plain.get_object(**self._object(key))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                    return None
                raise
            with contextlib.closing(reply["Body"]) as body:
                check_length(key, int(reply["ContentLength"]), limit)
                return Blob(body.read(), reply["ETag"])

    def put(self, key: str, body: bytes) -> None:
        with faults("write to", self.describe()):
            self._plain.put_object(**self._object(key), Body=body)

    def put_if_absent(self, key: str, body: bytes) -> str:
        with conditional_faults(key, self.describe()):
            return str(
                self._once.put_object(**self._object(key), Body=body, IfNoneMatch="*")["ETag"]
            )

    def swap(self, key: str, body: bytes, tag: str) -> str:
        with conditional_faults(key, self.describe()):
            reply = self._once.put_object(**self._object(key), Body=body, IfMatch=tag)
        return str(reply["ETag"])

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        pages = self._pages(prefix, delimiter=None, limit=limit)
        for page in pages:
            for found in page.get("Contents", []):
                yield Entry(self._without_prefix(found["Key"]), int(found["Size"]))

    def folders(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        left = limit
        # "0" comes right after "/": so everything below the folder `after` comes before.
        start = f"{prefix}{after}0" if after else ""
        for page in self._pages(prefix, delimiter="/", limit=None, start=start):
            for found in page.get("CommonPrefixes", []):
                name = self._without_prefix(found["Prefix"]).removeprefix(prefix).rstrip("/")
                if name <= after:
                    continue
                if left == 0:
                    return
                left = None if left is None else left - 1
                yield name
            if left == 0:
                return

    def delete(self, key: str) -> None:
        with faults("delete from", self.describe()):
            self._plain.delete_object(**self._object(key))

    def size(self, key: str) -> int | None:
        facts = self.facts(key)
        return None if facts is None else facts.size

    def facts(self, key: str) -> Facts | None:
        """S3 keeps the hash of what was sent with it, in one piece; see `upload`."""
        from botocore.exceptions import ClientError

        with faults("read", self.describe()):
            try:
                reply = self._plain.head_object(**self._object(key), ChecksumMode="ENABLED")
                return Facts(int(reply["ContentLength"]), _hex(reply.get("ChecksumSHA256")))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        with faults("write to", self.describe()):
            if path.stat().st_size >= MULTIPART_FROM_BYTES:
                upload_parts(self._bulk, self._object(key), path, progress)
                return
            body = path.read_bytes()
            self._bulk.put_object(**self._object(key), Body=body, **self._checksum(body))
        if progress:
            progress(len(body))

    def download(
        self,
        key: str,
        path: Path,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        # A fault of the target is none of the store, and stays the OSError that it is.
        with path.open("ab") as target:
            for chunk in self._chunks(key, offset, length):
                target.write(chunk)
                if progress:
                    progress(len(chunk))

    def clear_unfinished(self, prefix: str) -> None:
        with faults("clear", self.describe()):
            abort_uploads(self._plain, self.address.bucket, self._with_prefix(prefix))

    def link(self, key: str, *, seconds: int, filename: str) -> Link | None:
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        shown = "inline" if kind == "text/html" else f'attachment; filename="{filename}"'
        with faults("create a link to", self.describe()):
            url = self._plain.generate_presigned_url(
                "get_object",
                Params={
                    **self._object(key),
                    "ResponseContentType": kind,
                    "ResponseContentDisposition": shown,
                },
                ExpiresIn=seconds,
            )
            left_s = credentials_left_s(self._session)
        return Link(str(url), None if left_s is None else min(float(seconds), left_s))

    def _chunks(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        from botocore.exceptions import ClientError

        with faults("read", self.describe()):
            try:
                end = "" if length is None else offset + length - 1
                reply = self._bulk.get_object(**self._object(key), Range=f"bytes={offset}-{end}")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                    raise NotThereError(f"{key} is missing from {self.describe()}") from None
                raise
            yield from reply["Body"].iter_chunks(CHUNK_BYTES)

    def _checksum(self, body: bytes) -> dict[str, str]:
        """For AWS itself; see `_client` on other servers."""
        if self.address.endpoint:
            return {}
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
        return {"ChecksumSHA256": digest}

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self._with_prefix(check_key(key))}

    def _with_prefix(self, key: str) -> str:
        return f"{self.address.prefix}/{key}" if self.address.prefix else key

    def _without_prefix(self, key: str) -> str:
        return key.removeprefix(f"{self.address.prefix}/") if self.address.prefix else key

    def _pages(
        self, prefix: str, *, delimiter: str | None, limit: int | None, start: str = ""
    ) -> Iterator[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "Bucket": self.address.bucket,
            "Prefix": self._with_prefix(prefix),
        }
        if delimiter:
            arguments["Delimiter"] = delimiter
        if start:
            arguments["StartAfter"] = self._with_prefix(start)
        left = limit
        while left is None or left > 0:
            arguments["MaxKeys"] = 1000 if left is None else min(left, 1000)
            with faults("list", self.describe()):
                page = self._plain.list_objects_v2(**arguments)
            yield page
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]
            left = None if left is None else left - len(page.get("Contents", []))

    def _client(self, session: Any, attempts: int, read_seconds: float) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        settings: dict[str, Any] = {
            "retries": {"total_max_attempts": attempts, "mode": "standard"},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": read_seconds,
            "max_pool_connections": POOL_CONNECTIONS,
            "signature_version": "s3v4",
        }
        if self.address.endpoint:
            # Newer checksum headers break servers that do not know them.
            settings["request_checksum_calculation"] = "when_required"
            settings["response_checksum_validation"] = "when_required"
            settings["s3"] = {"addressing_style": "path"}
        try:
            return session.client(
                "s3",
                endpoint_url=self.address.endpoint,
                region_name=self.address.region or session.region_name or "us-east-1",
                config=Config(**settings),
            )
        except (BotoCoreError, ValueError) as error:
            raise StoreError(
                f"cannot use {self.describe()}: {error}",
                hint="check the endpoint address, AWS_PROFILE and the other AWS variables",
            ) from error


def _hex(checksum: str | None) -> str | None:
    """None for that of an upload in parts, which is the hash of their hashes."""
    try:
        raw = base64.b64decode(checksum or "", validate=True)
    except binascii.Error:
        return None
    return raw.hex() if len(raw) == hashlib.sha256().digest_size else None
