"""`refute guardian`: has this host's guardian serve the runs of others."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click

from refute.core.errors import EXIT_HELD, refuse
from refute.safety.identity import Identity, identity_directory
from refute.safety.journal import Journal
from refute.safety.listener import Host, Listener
from refute.safety.summon import post_beside


@click.command()
@click.option(
    "--listen", default="127.0.0.1:7443", show_default=True, metavar="HOST:PORT", help="Where it listens; port 0 is any free one."
)
@click.option("--admit", required=True, multiple=True, metavar="NAME", help="A name in the certificate of whoever may break things here.")
@click.option(
    "--tls", type=click.Path(path_type=Path), help="Directory with cert.pem, key.pem and ca.pem; by default ~/.config/refute/tls."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
def guardian(listen: str, admit: tuple[str, ...], tls: Path | None, as_json: bool) -> None:
    """Let runs on other hosts break what runs on this one, under leases, and remove it whatever becomes of them.

    Both sides show certificates of one authority, in TLS 1.3. It ends at SIGINT or SIGTERM, and everything is rolled back.
    """

    def tell(line: str) -> None:
        click.echo(json.dumps({"event": "caller", "line": line}) if as_json else line)
        sys.stdout.flush()

    journal = Journal()
    identity = Identity(tls if tls is not None else identity_directory())
    listener = Listener(_address(listen), identity, Host(post_beside(journal), journal, frozenset(admit)), tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, listener.end)
    host = listen.rpartition(":")[0] or "127.0.0.1"
    url = f"tls://{host}:{listener.port}"
    told = {"event": "listening", "guardian": url, "pid": os.getpid()}
    click.echo(json.dumps(told) if as_json else f"{url}: admits {', '.join(sorted(admit))} (process {os.getpid()})")
    sys.stdout.flush()
    listener.serve()
    sys.exit(EXIT_HELD)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise refuse("GUARDIAN-LISTEN", "the guardian cannot listen there", where="--listen", seen=text, allowed="HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
