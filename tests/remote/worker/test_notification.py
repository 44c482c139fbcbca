"""Mail over TLS to a real SMTP server, a signed webhook, and nothing that a job's text can bend."""

from __future__ import annotations

import hashlib
import json
import math
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from tests.remote.seaweed import free_port

from insaat_cli.errors import Fault, UsageError
from insaat_cli.remote.queue.job_spec import JobSpec
from insaat_cli.remote.queue.job_state import JobState, Problem, Result, Status
from insaat_cli.remote.queue.keys import manifest_key, result_key, spec_key
from insaat_cli.remote.queue.mail_address import check_address
from insaat_cli.remote.store.manifest import FileEntry, Manifest
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Link
from insaat_cli.remote.worker.mail import MailServer
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.outbox import Outbox
from insaat_cli.remote.worker.webhook import SIGNATURE_HEADER, TIME_HEADER, Webhook, sign

JOB = "20260101-000000-aaaaaaaa"


class Mailbox:
    def __init__(self) -> None:
        self.letters: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append((session.ssl is not None, envelope))
        return "250 OK"


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"robot", b"s3cret"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder / "ca.pem", folder / "server.pem"


@pytest.fixture
def mailbox(certificate: tuple[Path, Path]) -> Iterator[tuple[Mailbox, dict[str, str]]]:
    authority, server = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server)
    box, port = Mailbox(), free_port()
    controller = Controller(
        box,
        hostname="localhost",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=check_login,
        auth_required=True,
    )
    controller.start()
    environment = {
        "INSAAT_SMTP_HOST": "localhost",
        "INSAAT_SMTP_PORT": str(port),
        "INSAAT_SMTP_USER": "robot",
        "INSAAT_SMTP_PASSWORD": "s3cret",
        "INSAAT_SMTP_FROM": "insaat@example.org",
        "INSAAT_SMTP_CA_FILE": str(authority),
    }
    yield box, environment
    controller.stop()


class Linking(MemoryStore):
    def __init__(self, lasts_s: float | None = math.inf) -> None:
        super().__init__()
        self.lasts_s = lasts_s

    def link(self, key: str, *, seconds: int, filename: str) -> Link | None:
        good_s = None if self.lasts_s is None else min(self.lasts_s, float(seconds))
        return Link(f"https://store.example/{key}?signed", good_s)


def finished_job(
    store: MemoryStore, title: str = "garden", notify: str = "me@example.org"
) -> JobState:
    spec = JobSpec(job=JOB, title=title, notify=notify, photos=())
    store.put(spec_key(JOB), spec.to_bytes())
    page = FileEntry(path="view.html", size=1, sha256="a" * 64)
    manifest = Manifest(job=JOB, epoch=1, files=(page,))
    store.put(manifest_key(JOB, 1), manifest.to_bytes())
    store.put(result_key(JOB, 1, page.sha256), b"x")
    result = Result(epoch=1, manifest_sha256=hashlib.sha256(manifest.to_bytes()).hexdigest())
    return JobState(job=JOB, status=Status.SUCCEEDED, epoch=1, result=result)


def test_a_letter_with_the_link_over_tls(mailbox: tuple[Mailbox, dict[str, str]]) -> None:
    box, environment = mailbox
    store = Linking()
    state = finished_job(store, title="garden\r\nBcc: all@example.org\r\n\r\nhello")
    mail = MailServer.from_environment(environment)
    Notifier(store=store, mail=mail, webhook=None).job_ended(state)
    ((encrypted, letter),) = box.letters
    assert encrypted
    assert letter.rcpt_tos == ["me@example.org"]
    head, _, body = letter.content.decode().partition("\r\n\r\n")
    assert "bcc:" not in [line[:4].lower() for line in head.splitlines()]
    assert "https://store.example/" in body.replace("=\r\n", "")
    assert "link valid for one week" in body
    assert f"insaat fetch {JOB}" in body
    assert "s3cret" not in repr(mail)


def test_a_letter_about_a_failed_job_names_its_log(mailbox: tuple[Mailbox, dict[str, str]]) -> None:
    """There is nothing to fetch."""
    box, environment = mailbox
    store = MemoryStore()
    state = replace(finished_job(store), status=Status.FAILED, result=None)
    mail = MailServer.from_environment(environment)
    Notifier(store=store, mail=mail, webhook=None).job_ended(state)
    ((_, letter),) = box.letters
    text = letter.content.decode()
    assert f"insaat logs {JOB}" in text and "insaat fetch" not in text


@pytest.mark.parametrize(
    ("lasts_s", "words"),
    [
        (8 * 3600.0 + 60, "for 8 hours"),
        (1800.0, "for less than two hours"),
        (None, "for some hours: its credentials are temporary"),
    ],
)
def test_a_letter_says_how_long_its_link_lasts(
    lasts_s: float | None, words: str, mailbox: tuple[Mailbox, dict[str, str]]
) -> None:
    """A link that a role signs ends with the role's credentials."""
    box, environment = mailbox
    store = Linking(lasts_s)
    mail = MailServer.from_environment(environment)
    Notifier(store=store, mail=mail, webhook=None).job_ended(finished_job(store))
    ((_, letter),) = box.letters
    assert f"(link valid {words})" in letter.content.decode().replace("=\r\n", "")


@pytest.mark.parametrize(
    ("allow", "recipient", "sent"),
    [
        ("", "me@example.org", True),
        ("", "You@EXAMPLE.org", True),
        ("", "me@example.org.evil.example", False),
        ("", "me@elsewhere.example", False),
        ("elsewhere.example, one@third.example", "me@elsewhere.example", True),
        ("elsewhere.example, one@third.example", "one@third.example", True),
        ("@elsewhere.example", "me@elsewhere.example", True),
        ("elsewhere.example, one@third.example", "two@third.example", False),
        ("elsewhere.example", "me@example.org", False),
        ("*", "me@anywhere.example", True),
    ],
)
def test_letters_go_to_allowed_addresses_only(
    allow: str, recipient: str, sent: bool, mailbox: tuple[Mailbox, dict[str, str]]
) -> None:
    """Whoever may submit could have mailed anybody in the operator's name."""
    box, environment = mailbox
    store = Linking()
    state = finished_job(store, notify=recipient)
    mail = MailServer.from_environment({**environment, "INSAAT_MAIL_ALLOW": allow})
    Notifier(store=store, mail=mail, webhook=None).job_ended(state)
    assert bool(box.letters) is sent


def test_a_title_or_message_cannot_be_an_advertisement(
    mailbox: tuple[Mailbox, dict[str, str]],
) -> None:
    box, environment = mailbox
    store = Linking()
    title = "You won! https://evil.example/win?you " + "x" * 150
    state = finished_job(store, title=title)
    problem = Problem(fault=Fault.STAGE, message="open HTTPS://evil.example or www.evil.example")
    state = replace(state, status=Status.FAILED, result=None, problem=problem)
    mail = MailServer.from_environment(environment)
    Notifier(store=store, mail=mail, webhook=None).job_ended(state)
    ((_, letter),) = box.letters
    text = letter.content.decode().replace("=\r\n", "").replace("\r\n ", " ")
    assert "://" not in text and "www.evil" not in text and "evil.example/" not in text
    assert "You won_ https___evil_example_win_you" in text and "x" * 50 not in text


def test_a_mail_server_that_hangs_holds_up_nobody() -> None:
    store, let_go, told = MemoryStore(), threading.Event(), []

    class Hanging(Notifier):
        def job_ended(self, state: JobState) -> None:
            told.append(state.job)
            let_go.wait(20)

    hook = Webhook(url="http://127.0.0.1:9/", secret="k")
    outbox = Outbox(Hanging(store=store, mail=None, webhook=hook))
    started = time.monotonic()
    states = [JobState(job=f"job{number}", status=Status.FAILED) for number in range(1500)]
    for state in states:
        outbox.job_ended(state)
    assert time.monotonic() - started < 5
    let_go.set()
    outbox.close(hurry=False)
    assert told[:3] == ["job0", "job1", "job2"], "in their order"
    assert len(told) <= 1002, "more are not kept"


def test_an_outbox_in_a_hurry_is_left() -> None:
    class Hanging(Notifier):
        def job_ended(self, state: JobState) -> None:
            time.sleep(20)

    hook = Webhook(url="http://127.0.0.1:9/", secret="k")
    outbox = Outbox(Hanging(store=MemoryStore(), mail=None, webhook=hook))
    outbox.job_ended(JobState(job=JOB, status=Status.FAILED))
    started = time.monotonic()
    outbox.close(hurry=True)
    assert time.monotonic() - started < 10


def test_a_mail_server_needs_a_sender() -> None:
    with pytest.raises(UsageError, match="INSAAT_SMTP_FROM is not"):
        MailServer.from_environment({"INSAAT_SMTP_HOST": "localhost"})


def test_no_tls_no_letter(
    mailbox: tuple[Mailbox, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that nobody vouches for: the letter is not sent, the job is not harmed."""
    box, environment = mailbox
    del environment["INSAAT_SMTP_CA_FILE"]
    store = Linking()
    mail = MailServer.from_environment(environment)
    Notifier(store=store, mail=mail, webhook=None).job_ended(finished_job(store))
    assert box.letters == []
    assert "cannot send the notification" in caplog.text and "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "me",
        "a@b\nBcc: x@y",
        "a@b,c@d",
        "<a@b>",
        "a b@c",
        "a@b\r\n",
        "a@-b-",
        "x" * 99 + "@b",
        "a..b@c",
    ],
)
def test_only_plain_addresses(address: str) -> None:
    with pytest.raises(UsageError):
        check_address(address)


def test_a_signed_call() -> None:
    calls: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.handle_request, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    hook = Webhook.from_environment({"INSAAT_WEBHOOK_URL": url, "INSAAT_WEBHOOK_SECRET": "k"})
    state = JobState(
        job=JOB, status=Status.FAILED, problem=Problem(fault=Fault.STAGE, message="boom")
    )
    Notifier(store=MemoryStore(), mail=None, webhook=hook).job_ended(state)
    ((headers, body),) = calls
    assert headers[SIGNATURE_HEADER] == sign("k", headers[TIME_HEADER], body)
    assert headers[SIGNATURE_HEADER] != sign("other", headers[TIME_HEADER], body)
    assert json.loads(body)["status"] == "FAILED"
    server.server_close()


@pytest.mark.parametrize(
    ("url", "secret"), [("https://x", ""), ("file:///x", "k"), ("ftp://x", "k")]
)
def test_half_a_webhook_is_an_error(url: str, secret: str) -> None:
    with pytest.raises(UsageError):
        Webhook.from_environment({"INSAAT_WEBHOOK_URL": url, "INSAAT_WEBHOOK_SECRET": secret})
