"""Tell people and programs that a job has ended. At most once, and never at the job's expense."""

from __future__ import annotations

import logging
import smtplib
from dataclasses import dataclass

from insaat_cli.errors import InsaatError
from insaat_cli.formatting import counted
from insaat_cli.remote.queue.job_spec import read_spec
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.published_result import share_link
from insaat_cli.remote.store.protocol import Link, Store
from insaat_cli.remote.worker.mail import MailServer, one_line, plain_title
from insaat_cli.remote.worker.webhook import Webhook

LINK_SECONDS = 7 * 24 * 3600
log = logging.getLogger("insaat.worker")


@dataclass(frozen=True, kw_only=True)
class Notifier:
    """Both channels are the operator's; either may be missing."""

    store: Store
    mail: MailServer | None
    webhook: Webhook | None

    @property
    def is_needed(self) -> bool:
        """Whether anything is configured."""
        return self.mail is not None or self.webhook is not None

    def job_ended(self, state: JobState) -> None:
        """Send what is configured. A channel that fails is logged, and nothing else happens."""
        if not self.is_needed:
            return
        try:
            link = share_link(self.store, state, seconds=LINK_SECONDS)
            self._call_webhook(state, link.url if link else "")
            self._send_mail(state, link)
        except (OSError, smtplib.SMTPException, InsaatError) as error:
            log.warning("job %s: cannot send the notification: %s", state.job, type(error).__name__)

    def _call_webhook(self, state: JobState, link: str) -> None:
        if self.webhook is not None:
            self.webhook.send(
                {
                    "job": state.job,
                    "status": state.status.value,
                    "message": state.problem.message if state.problem else "",
                    "link": link,
                }
            )

    def _send_mail(self, state: JobState, link: Link | None) -> None:
        if self.mail is None:
            return
        spec = read_spec(self.store, state.job)
        if spec is None or not spec.notify:
            return
        if not self.mail.accepts(spec.notify):
            log.warning(
                "job %s: no mail to %s: add its domain to INSAAT_MAIL_ALLOW", state.job, spec.notify
            )
            return
        title = plain_title(spec.title)
        lines = [f"Job {state.job} ({title}): {state.status.value}"]
        if state.problem:
            lines += ["", one_line(state.problem.message), one_line(state.problem.hint)]
        if link:
            lines += ["", f"View the model (link valid {_how_long(link)}):", link.url]
        if state.status is Status.SUCCEEDED:
            lines += ["", f"Download the result: insaat fetch {state.job}"]
        else:
            lines += ["", f"See the log: insaat logs {state.job}"]
        subject = f"insaat: {state.status.value.lower()}: {title}"
        self.mail.send(spec.notify, subject, "\n".join(lines))


def _how_long(link: Link) -> str:
    if link.seconds is None:
        return "for some hours: its credentials are temporary"
    if link.seconds >= LINK_SECONDS:
        return "for one week"
    hours = link.seconds / 3600
    return f"for {counted(int(hours), 'hour')}" if hours >= 2 else "for less than two hours"
