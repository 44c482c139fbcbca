"""Tell people and programs that a job has ended. At most once, and never at the job's expense."""

from __future__ import annotations

import logging
import smtplib
from dataclasses import dataclass

from insaat_cli.errors import InsaatError
from insaat_cli.remote.queue.job_spec import read_spec
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.published_result import share_link
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.worker.mail import MailServer, one_line
from insaat_cli.remote.worker.webhook import Webhook

LINK_SECONDS = 7 * 24 * 3600
log = logging.getLogger("insaat.worker")


@dataclass(frozen=True, kw_only=True)
class Notifier:
    """Both channels are the operator's; either may be missing."""

    store: Store
    mail: MailServer | None
    webhook: Webhook | None

    def job_ended(self, state: JobState) -> None:
        """Send what is configured. A channel that fails is logged, and nothing else happens."""
        if self.mail is None and self.webhook is None:
            return
        try:
            link = share_link(self.store, state, seconds=LINK_SECONDS) or ""
            self._call_webhook(state, link)
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

    def _send_mail(self, state: JobState, link: str) -> None:
        if self.mail is None:
            return
        spec = read_spec(self.store, state.job)
        if spec is None or not spec.notify:
            return
        lines = [f"Job {state.job} ({one_line(spec.title)}): {state.status.value}"]
        if state.problem:
            lines += ["", one_line(state.problem.message), one_line(state.problem.hint)]
        if link:
            lines += ["", "View the model (link valid for one week):", link]
        if state.status is Status.SUCCEEDED:
            lines += ["", f"Download the result: insaat fetch {state.job}"]
        else:
            lines += ["", f"See the log: insaat logs {state.job}"]
        self.mail.send(
            spec.notify, f"insaat: {state.status.value.lower()}: {spec.title}", "\n".join(lines)
        )
