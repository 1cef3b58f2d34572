"""`refute proxy`: stands in front of an upstream, passes everything through, and breaks what a run has armed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import click

from refute.core.errors import EXIT_HELD, refuse
from refute.core.link import ADDRESS_VARIABLE
from refute.injectors.door import Door
from refute.injectors.proxy.server import ROLE, ProxyServer, upstream_of
from refute.injectors.proxy.stdio import StdioProxy, stdio_proxy
from refute.safety.state import doors_directory

_DRAIN_S = 10.0


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--upstream", default="", metavar="URL", help="What it stands in front of: a base URL, or tcp://HOST:PORT.")
@click.option("--stdio", default="", metavar="NAME", help="It stands in for the command of an MCP server, known as stdio://NAME.")
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where it listens; port 0 is any free one.")
@click.option(
    "--drain", default=_DRAIN_S, show_default=True, type=click.FloatRange(0), help="Seconds that exchanges get to end at SIGTERM."
)
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON object.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def proxy(upstream: str, stdio: str, listen: str, drain: float, as_json: bool, command: tuple[str, ...]) -> None:
    """Pass HTTP through to URL, byte for byte, until a run arms a fault on a component that is reached `via: proxy`.

    Runs of the same user find it by themselves. It ends at SIGINT or SIGTERM: no new connections, and those that there are may end.

    With `--stdio NAME -- COMMAND …` it starts an MCP server in its own place and passes on what comes over the pipes, signals and the exit
    code too: put it before the server's command in the configuration of an MCP client.
    """
    if bool(upstream) == bool(stdio) or bool(stdio) != bool(command):
        raise refuse(
            "PROXY-FRONT", "a proxy stands before one thing", seen=upstream or stdio or "nothing",
            allowed="--upstream URL, or --stdio NAME -- COMMAND …", next="refute proxy --stdio orders -- python server.py",
        )  # fmt: skip
    if stdio:
        sys.exit(asyncio.run(_stand_in(stdio_proxy(stdio, command))))
    host, port = _address(listen)
    asyncio.run(_serve(ProxyServer(upstream_of(upstream), host, port), upstream, drain, as_json=as_json))
    sys.exit(EXIT_HELD)


async def _stand_in(server: StdioProxy) -> int:
    """Serve in the place of an MCP server; standard output is the client's, so that nothing else is said there."""
    async with server:
        with Door(doors_directory(), ROLE, server.serves, server.join, server.armed):
            if ADDRESS_VARIABLE in os.environ and (why := server.join(os.environ)):
                click.echo(f"the proxy joins no run: {why}", err=True)
            return await server.serve()


async def _serve(server: ProxyServer, upstream: str, drain_s: float, *, as_json: bool) -> None:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with server:
        with Door(doors_directory(), ROLE, server.serves, server.join, server.armed):
            if ADDRESS_VARIABLE in os.environ and (why := server.join(os.environ)):
                click.echo(f"the proxy joins no run: {why}", err=True)
            _tell(server, upstream, as_json=as_json)
            await over.wait()
        await server.drain(drain_s)


def _tell(server: ProxyServer, upstream: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"event": "listening", "url": server.url, "upstream": upstream, "pid": os.getpid()}))
    else:
        click.echo(f"{server.url} -> {upstream}: nothing is armed, everything passes (process {os.getpid()})")
    sys.stdout.flush()


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise refuse(
            "PROXY-LISTEN", "the proxy cannot listen there", where="--listen", seen=text, allowed="HOST:PORT, such as 127.0.0.1:8900"
        )
    return host.strip("[]") or "127.0.0.1", int(port)
