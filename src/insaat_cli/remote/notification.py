"""Tell people and programs that a job has ended. At most once, and never at the job's expense."""

from __future__ import annotations

import hashlib
import logging
import smtplib
from dataclasses import dataclass

from insaat_cli.errors import InsaatError
from insaat_cli.remote.execute import VIEWER_NAME
from insaat_cli.remote.job import JobState, Status
from insaat_cli.remote.keys import manifest_key, result_key, spec_key
from insaat_cli.remote.mail import MailServer, one_line
from insaat_cli.remote.manifest import Manifest
from insaat_cli.remote.spec import JobSpec
from insaat_cli.remote.store import Store
from insaat_cli.remote.webhook import Webhook

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
            log.warning("job %s: the notification failed: %s", state.job, type(error).__name__)

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
        blob = self.store.get(spec_key(state.job))
        spec = JobSpec.from_bytes(blob.body) if blob else None
        if spec is None or not spec.notify:
            return
        lines = [f"Job {state.job} ({one_line(spec.title)}): {state.status.value}"]
        if state.problem:
            lines += ["", one_line(state.problem.message), one_line(state.problem.hint)]
        if link:
            lines += ["", "Look at the model (the link is good for a week):", link]
        lines += ["", f"insaat fetch {state.job}"]
        self.mail.send(
            spec.notify, f"insaat: {state.status.value.lower()}: {spec.title}", "\n".join(lines)
        )


def share_link(store: Store, state: JobState, *, seconds: int) -> str | None:
    """A presigned link to the published viewer page; None without one."""
    if state.status is not Status.SUCCEEDED or state.result is None:
        return None
    job, epoch = state.job, state.result.epoch
    blob = store.get(manifest_key(job, epoch))
    if blob is None or hashlib.sha256(blob.body).hexdigest() != state.result.manifest_sha256:
        return None
    hashes = {entry.path: entry.sha256 for entry in Manifest.from_bytes(blob.body).files}
    for name in (VIEWER_NAME, "report.html", "model.glb"):
        if name in hashes:
            return store.link(result_key(job, epoch, hashes[name]), seconds=seconds, filename=name)
    return None
