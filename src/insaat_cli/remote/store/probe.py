"""The probe tests the conditional writes of a store before a queue is trusted to it.

Some S3 servers accept If-None-Match and If-Match and ignore them; others check and write in two
steps, so that racing writers both win. On such a store two workers would run the same job.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial

from insaat_cli.errors import StoreError
from insaat_cli.remote.store.json_body import read_json
from insaat_cli.remote.store.protocol import ConflictError, Store, UncertainError

RACERS = 8
ROUNDS = 2
TRIES = 4
PASSED_KEY = "probe/passed.json"
PASSED_FOR_S = 24 * 3600
HINT = (
    "use a server whose conditional writes hold under concurrent writers: AWS S3, SeaweedFS 4, "
    "MinIO, Cloudflare R2 and recent Ceph document this"
)


def needs_probe(store: Store, now: Callable[[], float] = time.time) -> bool:
    """Whether nobody has tested `store` for a day: a thousand workers that start together need not
    make fifty requests each. The time of day only says how often, so it may be wrong."""
    blob = store.get(PASSED_KEY)
    try:
        said = None if blob is None else read_json(blob.body).get("at")
    except ValueError:
        return True
    return type(said) is not int or abs(now() - said) > PASSED_FOR_S


def probe_for_all(store: Store, now: Callable[[], float] = time.time) -> None:
    """Test `store` as `probe` does, and write down for others that it passed."""
    probe(store)
    store.put(PASSED_KEY, json.dumps({"at": int(now())}).encode())


def probe(store: Store) -> None:
    """Raise StoreError unless conditional writes hold in `store`, racing writers included."""
    for _ in range(ROUNDS):
        key = f"probe/{secrets.token_hex(8)}"
        try:
            _check_one_writer(store, key)
            _race(store, key, "If-None-Match", partial(store.put_if_absent, key))
            blob = store.get(key)
            if blob is None:
                raise _broken(store, "an object just written could not be read back")
            _race(store, key, "If-Match", partial(_swap, store, key, blob.tag))
        finally:
            with contextlib.suppress(StoreError):
                store.delete(key)


def _swap(store: Store, key: str, tag: str, body: bytes) -> str:
    return store.swap(key, body, tag)


def _check_one_writer(store: Store, key: str) -> None:
    _must_conflict(store, "If-Match", lambda: store.swap(key, b"x", '"0123456789abcdef"'))
    first = _surely(lambda: store.put_if_absent(key, b"first"), store, key, b"first")
    _must_conflict(store, "If-None-Match", lambda: store.put_if_absent(key, b"second"))
    _surely(lambda: store.swap(key, b"third", first), store, key, b"third")
    _must_conflict(store, "If-Match", lambda: store.swap(key, b"fourth", first))
    store.delete(key)


def _surely(write: Callable[[], str], store: Store, key: str, body: bytes) -> str:
    """The tag after a write that nobody races with, looked up if its reply was lost."""
    fault: Exception = ConflictError(key)
    for _ in range(TRIES):
        try:
            return write()
        except (UncertainError, ConflictError) as error:
            fault = error
            blob = store.get(key)
            if blob is not None and blob.body == body:
                return blob.tag
    if isinstance(fault, UncertainError):
        raise fault
    raise _broken(store, "it refused a conditional write whose condition holds")


def _must_conflict(store: Store, header: str, write: Callable[[], str]) -> None:
    for _ in range(TRIES):
        try:
            write()
        except ConflictError:
            return
        except UncertainError as error:
            fault = error
            continue
        raise _broken(store, f"{header} accepted a write whose condition does not hold")
    raise fault


def _race(store: Store, key: str, header: str, write: Callable[[bytes], str]) -> None:
    """Exactly one of RACERS simultaneous writers may win, and its bytes must be there."""
    start = threading.Barrier(RACERS)
    won: list[bytes] = []
    unknown: list[bytes] = []

    def run(number: int) -> None:
        body = f"{header} {number} {secrets.token_hex(8)}".encode()
        start.wait()
        try:
            write(body)
            won.append(body)
        except ConflictError:
            pass  # it lost the race, as all but one should
        except StoreError:
            unknown.append(body)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blob = store.get(key)
    stored = None if blob is None else blob.body
    if len(won) > 1 or (won and stored != won[0]):
        raise _broken(store, f"{header} let {len(won)} of {RACERS} concurrent writers succeed")
    if not won and stored not in unknown:
        raise _broken(store, f"{header} let none of {RACERS} concurrent writers succeed")


def _broken(store: Store, what: str) -> StoreError:
    return StoreError(f"{store.describe()} cannot be used as a queue: {what}", hint=HINT)
