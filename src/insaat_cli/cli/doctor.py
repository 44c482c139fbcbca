"""`insaat doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.queue_options import BrokerOption, EndpointOption
from insaat_cli.cli.session import output_for
from insaat_cli.display.output import Output
from insaat_cli.doctor import Check, Health, examine_machine, require_health
from insaat_cli.formatting import counted, printable
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.link import BrokerError
from insaat_cli.remote.connections import open_broker, open_store
from insaat_cli.remote.store.probe import probe
from insaat_cli.remote.store.protocol import Store

SIGN = {Health.GOOD: "ok", Health.OPTIONAL: "--", Health.WARNING: "!!", Health.PROBLEM: "XX"}
STYLE = {
    Health.GOOD: "",
    Health.OPTIONAL: "dim",
    Health.WARNING: "yellow",
    Health.PROBLEM: "bold red",
}
NAME_WIDTH = 24


def doctor_command(
    context: typer.Context,
    remote: Annotated[
        str | None, typer.Option(metavar="URL|DIR", help="Also test this queue.")
    ] = None,
    endpoint: EndpointOption = None,
    broker: BrokerOption = None,
    json: JsonOption = False,
) -> None:
    """Check packages, programs and limits. Exits with 4 if a requirement is missing."""
    out = output_for(context, json=json)
    checks = examine_machine(Path.cwd())
    for check in checks:
        _tell(out, check)
    require_health(checks)
    if remote is not None:
        _try_queue(out, open_store({"remote": remote, "endpoint": endpoint}))
    found = open_broker({"broker": broker})
    if found is not None:
        _try_broker(out, found, asked_for=broker is not None)
    out.line()
    out.line("everything the default pipeline needs is installed", style="bold")


def _try_queue(out: Output, store: Store) -> None:
    """Write to the queue's store as racing workers would; StoreError if it cannot hold a queue."""
    probe(store)
    found = f"{store.describe()}: conditional writes work"
    _tell(out, Check(name="queue", health=Health.GOOD, found=found))


def _try_broker(out: Output, broker: Broker, *, asked_for: bool) -> None:
    """Connect and count. A broker that does not answer stops nobody, so it is an error only where
    it is what was asked for."""
    try:
        link = broker.link()
        try:
            waiting = link.waiting()
        finally:
            link.close()
    except BrokerError as error:
        if asked_for:
            raise
        advice = "start it, or change it with insaat config broker; until then, workers poll"
        _tell(
            out,
            Check(name="broker", health=Health.WARNING, found=error.message, advice=advice),
        )
        return
    found = f"{broker.address.shown}: connected, {counted(waiting, 'message')} waiting"
    _tell(out, Check(name="broker", health=Health.GOOD, found=found))


def _tell(out: Output, check: Check) -> None:
    out.json({"event": "check", **dataclasses.asdict(check)})
    _show(out, check)


def _show(out: Output, check: Check) -> None:
    needed = f"  (needs {check.needed})" if check.needed and check.health is not Health.GOOD else ""
    line = f"{SIGN[check.health]}  {check.name:<{NAME_WIDTH}} {check.found}{needed}"
    out.line(printable(line), style=STYLE[check.health])
    if check.advice:
        label = "" if check.health is Health.OPTIONAL else "fix: "
        out.line(printable(f"    {'':<{NAME_WIDTH}} {label}{check.advice}"))
