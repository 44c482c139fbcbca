"""Large files to S3 in parts, in parallel; an interrupted upload goes on where it stopped.

The server keeps the parts of an unfinished upload. They are found by key and compared by their
MD5 (a part's ETag where the server does not encrypt), so only missing or different ones are sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from insaat_cli.remote.store.parallel import in_parallel, no_check
from insaat_cli.remote.store.protocol import Progress

MULTIPART_FROM_BYTES = 32 << 20
PART_BYTES = 16 << 20
MAX_PARTS = 10_000
PARALLEL_PARTS = 4


@dataclass(frozen=True)
class _Part:
    number: int
    offset: int
    size: int


def upload_parts(
    client: Any, target: dict[str, str], path: Path, progress: Progress | None
) -> None:
    """Send `path` to the object `target` (Bucket, Key); it appears when its last part is there.

    What `progress` raises stops it; the parts that are there stay for the next time."""
    upload_id, known = _resume(client, target)
    etags: dict[int, str] = {}

    def send(part: _Part) -> None:
        with path.open("rb") as file:
            file.seek(part.offset)
            body = file.read(part.size)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        etag = known.get(part.number)
        if etag is None or etag.strip('"') != digest:
            etag = client.upload_part(
                **target, UploadId=upload_id, PartNumber=part.number, Body=body
            )["ETag"]
        if progress:
            progress(part.size)
        etags[part.number] = etag

    actions = [partial(send, part) for part in _cut(path.stat().st_size)]
    in_parallel(
        actions, threads=PARALLEL_PARTS, check=partial(progress, 0) if progress else no_check
    )
    sent = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    client.complete_multipart_upload(**target, UploadId=upload_id, MultipartUpload={"Parts": sent})


def abort_uploads(client: Any, bucket: str, prefix: str) -> None:
    """Give up unfinished uploads of objects below `prefix`; their parts cost as objects do."""
    reply = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    for found in reply.get("Uploads", []):
        if found["Key"].startswith(prefix):
            client.abort_multipart_upload(
                Bucket=bucket, Key=found["Key"], UploadId=found["UploadId"]
            )


def _cut(size: int) -> list[_Part]:
    step = PART_BYTES
    while step * MAX_PARTS < size:
        step *= 2
    return [
        _Part(number + 1, offset, min(step, size - offset))
        for number, offset in enumerate(range(0, size, step))
    ]


def _resume(client: Any, target: dict[str, str]) -> tuple[str, dict[int, str]]:
    """The newest unfinished upload of this key and its parts' ETags, or a new upload."""
    reply = client.list_multipart_uploads(Bucket=target["Bucket"], Prefix=target["Key"])
    mine = [found for found in reply.get("Uploads", []) if found["Key"] == target["Key"]]
    if not mine:
        return str(client.create_multipart_upload(**target)["UploadId"]), {}
    upload_id = str(max(mine, key=lambda found: found["Initiated"])["UploadId"])
    known: dict[int, str] = {}
    marker = 0
    while True:
        page = client.list_parts(**target, UploadId=upload_id, PartNumberMarker=marker)
        known |= {part["PartNumber"]: part["ETag"] for part in page.get("Parts", [])}
        if not page.get("IsTruncated"):
            return upload_id, known
        marker = page["NextPartNumberMarker"]
