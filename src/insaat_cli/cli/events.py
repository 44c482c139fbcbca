"""`insaat events` tells what becomes of jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.queue_options import BrokerOption, EndpointOption, RemoteOption, client_of
from insaat_cli.cli.session import output_for
from insaat_cli.cli.submit import READER_LEFT
from insaat_cli.errors import UsageError

FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Keep printing changes until interrupted.")
]
PollOption = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="Seconds between scans while no broker is connected."),
]


def events_command(
    context: typer.Context,
    follow: FollowOption = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    broker: BrokerOption = None,
    poll: PollOption = 10.0,
    json: JsonOption = False,
) -> None:
    """Print waiting and running jobs, then every change of a job, one JSON object a line.

    With an AMQP or Redis broker, changes arrive at once; otherwise the store is scanned.
    """
    import dataclasses

    from insaat_cli.remote.broker.messages import JobEvent
    from insaat_cli.remote.client.events import EventFeed

    if poll <= 0:
        raise UsageError("--poll is too short", hint="use more than 0 seconds")
    out = output_for(context, json=True)  # whether asked for or not: there is no other form
    client = client_of(remote, endpoint, broker)
    feed = EventFeed(client.store, client.broker, poll_s=poll)
    for state in feed.follow() if follow else feed.now():
        message = state.problem.message if state.problem else ""
        event = dataclasses.asdict(JobEvent.of(state))
        del event["started_at"]  # the store keeps none
        out.json({"event": "job", **event, "message": message})
        if not out.is_heard:
            raise typer.Exit(READER_LEFT)
