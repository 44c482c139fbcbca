"""E-mail when a job ends. Server and sender are the worker operator's; TLS is not optional.

A job contributes its address, which must be a plain one, and nothing else of its text: a name in
the message cannot become a header.
"""

from __future__ import annotations

import os
import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from insaat_cli.errors import UsageError
from insaat_cli.remote.queue.mail_address import check_address

TIMEOUT_S = 20.0
IMPLICIT_TLS_PORT = 465
MAX_LINE, MAX_TITLE = 200, 60
LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """An SMTP server and who we are to it. `repr` shows no password."""

    host: str
    port: int
    sender: str
    user: str
    password: str
    ca_file: str | None = None
    allowed: tuple[str, ...] = ()
    """Domains and addresses to which jobs may have mail sent; "*" is all of them."""

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> MailServer | None:
        """From INSAAT_SMTP_HOST, _PORT, _USER, _PASSWORD, _FROM, _CA_FILE and INSAAT_MAIL_ALLOW;
        None without a host. Who may submit must not mail the world in our name: if nothing is said,
        only the sender's own domain is allowed."""
        host = environment.get("INSAAT_SMTP_HOST", "")
        if not host:
            return None
        sender = environment.get("INSAAT_SMTP_FROM", "")
        if not sender:
            raise UsageError(
                "INSAAT_SMTP_HOST is set but INSAAT_SMTP_FROM is not",
                hint="set INSAAT_SMTP_FROM to the sender's address",
            )
        return cls(
            host=host,
            port=_port(environment.get("INSAAT_SMTP_PORT", "587")),
            sender=check_address(sender),
            user=environment.get("INSAAT_SMTP_USER", ""),
            password=environment.get("INSAAT_SMTP_PASSWORD", ""),
            ca_file=environment.get("INSAAT_SMTP_CA_FILE") or None,
            allowed=_allowed(environment.get("INSAAT_MAIL_ALLOW") or sender.rpartition("@")[2]),
        )

    def accepts(self, recipient: str) -> bool:
        """Whether mail may be sent there."""
        address = recipient.casefold()
        return not {"*", address, address.rpartition("@")[2]}.isdisjoint(self.allowed)

    def send(self, recipient: str, subject: str, text: str) -> None:
        """Raises OSError or smtplib.SMTPException; never sends over a line without TLS."""
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = check_address(recipient)
        message["Subject"] = one_line(subject)
        message.set_content(text)
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.port == IMPLICIT_TLS_PORT:
            with smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_S, context=context
            ) as server:
                self._deliver(server, message)
            return
        with smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S) as server:
            server.starttls(context=context)
            self._deliver(server, message)

    def _deliver(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        if self.user:
            server.login(self.user, self.password)
        server.send_message(message)


def one_line(text: str) -> str:
    """`text` without anything that could end a header, and without links: parts of it are a
    submitter's, and a mail program would offer them to be clicked."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return LINK.sub(lambda found: " ".join(found[0]), shown[:MAX_LINE])


def plain_title(text: str) -> str:
    """A job's title, of letters, digits, hyphens and underscores only."""
    kept = (character if character.isalnum() or character in " -_" else "_" for character in text)
    return "".join(kept)[:MAX_TITLE]


def _allowed(text: str) -> tuple[str, ...]:
    """Domains, with or without @ before them, and addresses, between commas or spaces."""
    return tuple(word.removeprefix("@").casefold() for word in text.replace(",", " ").split())


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(
            f"invalid INSAAT_SMTP_PORT {text!r:.20}", hint="use a port number such as 587"
        )
    return int(text)
