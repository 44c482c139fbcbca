"""What boto3 raises, turned into the three answers a store gives: refused, conflict, uncertain."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from insaat_cli.errors import StoreError
from insaat_cli.remote.store.protocol import ConflictError, NotThereError, UncertainError

HINT_OF_CODE = {
    "NoSuchBucket": "create the bucket, or correct its name after s3://",
    "InvalidBucketName": "correct the bucket name after s3://",
    "InvalidAccessKeyId": "unknown access key: check AWS_PROFILE or AWS_*",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_PROFILE or AWS_*",
    "ExpiredToken": "the session token has expired: get a new one",
    "AccessDenied": "the credentials lack permissions: see deploy/policies",
    "RequestTimeTooSkewed": "set this machine's clock: it differs too much from the server's",
}
MISSING_CODES = {"NoSuchKey", "404"}
CONFLICT_CODES = {"PreconditionFailed", "412"}
LATER_STATUS = {408, 409, 425, 429}


@contextlib.contextmanager
def faults(action: str, where: str) -> Iterator[None]:
    """Turn boto3's errors into store errors."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _of_reply(error.response, action, where) from error
    except BotoCoreError as error:
        raise _of_client(error, action, where) from error
    except OSError as error:
        raise UncertainError(f"cannot {action} {where}: {error}") from error


@contextlib.contextmanager
def conditional_faults(key: str, where: str) -> Iterator[None]:
    """The same for a conditional write, whose condition may be what failed."""
    from botocore.exceptions import ClientError

    with faults("write to", where):
        try:
            yield
        except ClientError as error:
            code, status = _code(error.response)
            if status == 412 or code in CONFLICT_CODES | MISSING_CODES:
                raise ConflictError(key) from error
            if status == 501:
                raise StoreError(
                    f"{where} does not support conditional writes",
                    hint="use a server that does: see docs/remote.md",
                ) from error
            raise


def _code(reply: Any) -> tuple[str, int]:
    status = reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(reply.get("Error", {}).get("Code", "")), int(status)


def _of_reply(reply: Any, action: str, where: str) -> StoreError:
    code, status = _code(reply)
    message = f"cannot {action} {where}: {code} (HTTP {status})"
    if status >= 500 or status in LATER_STATUS:
        return UncertainError(message, hint="the server is busy or failing: try again later")
    if code in MISSING_CODES:
        return NotThereError(message)
    return StoreError(message, hint=HINT_OF_CODE.get(code, "") or _hint_of_status(status))


def _hint_of_status(status: int) -> str:
    if status == 403:
        return "check the credentials and their permissions: AWS_PROFILE or the AWS_ variables"
    return "check the bucket name, the endpoint and the credentials"


def _of_client(error: Exception, action: str, where: str) -> StoreError:
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

    transient = (NoConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)
    # boto3's own texts name no secrets, but may name the signed address: keep the class only.
    kind = type(error).__name__
    if isinstance(error, transient):
        return UncertainError(
            f"cannot {action} {where}: no answer ({kind})",
            hint="check the network and the endpoint (INSAAT_S3_ENDPOINT, AWS_ENDPOINT_URL)",
        )
    if "Credentials" in kind or "Token" in kind:
        return StoreError(
            f"cannot {action} {where}: no usable credentials ({kind})",
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return StoreError(
        f"cannot {action} {where}: {kind}", hint="check the endpoint and the AWS variables"
    )
