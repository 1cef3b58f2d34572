"""The proxy itself: listens, sweeps out what takes too long, joins a run when it is asked to, and drains before it ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from refute.core.errors import refuse
from refute.core.link import Message
from refute.injectors.agent import Agent, connect
from refute.injectors.ingress import ingress
from refute.injectors.proxy.hands import INJECTOR, BaseUrl, ProxyInjector, Units
from refute.injectors.proxy.relay import Upstream
from refute.injectors.proxy.session import Serving, Session
from refute.injectors.proxy.tcp import TcpSession

MOST_CONNECTIONS = 1024
ROLE = "proxy"
_SWEEP_S = 1.0
_PORTS = {"http": 80, "https": 443, "tcp": 0}
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class ProxyServer:
    """One proxy; use as an async context manager.

    Args:
        upstream: where requests go.
        host: name or address to listen on.
        port: to listen on, 0 for any that is free.
        hands: what is armed in it.
    """

    def __init__(self, upstream: Upstream, host: str, port: int, hands: ProxyInjector = INJECTOR) -> None:
        """Listen to nobody yet."""
        self._serving = Serving(upstream, hands)
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._agent: Agent | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, self._host, self._port, backlog=MOST_CONNECTIONS)
        except OSError as error:
            seen = f"{self._host}:{self._port}: {error.strerror or error}"
            raise refuse("PROXY-LISTEN", "the proxy cannot listen there", where="--listen", seen=seen) from None
        self._port = self._server.sockets[0].getsockname()[1]
        upstream = self._serving.upstream
        self._serving.hands.stand_at(BaseUrl.of(self.url), BaseUrl.of(f"{upstream.scheme}://{upstream.authority}{upstream.prefix}"))
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.drain(0)
        self._serving.hands.stand_at()

    @property
    def url(self) -> str:
        """Base URL at which it is reached."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "tcp" if self._serving.upstream.scheme == "tcp" else "http"
        return f"{scheme}://{host}:{self._port}"

    @property
    def serves(self) -> tuple[str, ...]:
        """The base URLs under which runs may know it: its own, and upstream's."""
        upstream = self._serving.upstream
        return self.url, f"{upstream.scheme}://{upstream.authority}{upstream.prefix}"

    @property
    def connections(self) -> int:
        """Number of open client connections."""
        return len(self._serving.sessions)

    @property
    def busy(self) -> int:
        """Number of exchanges under way."""
        return sum(1 for session in self._serving.sessions if session.busy)

    def join(self, environ: Mapping[str, str]) -> str:
        """Join the link that an environment names, and leave it when its other end does.

        Returns:
            Why not, or "".
        """
        if self._agent is not None:
            return "it serves another run"
        try:
            connection = connect(ROLE, environ, self.serves)
        except (OSError, KeyError) as error:
            return f"its link cannot be reached: {error}"
        self._serving.units = Units(found) if (found := ingress(environ)) is not None else None
        self._agent = Agent(connection, {INJECTOR.name: self._serving.hands}, {"go": _go}, self._leave)
        self._agent.start()
        return ""

    def armed(self) -> list[str]:
        """Return the ids of the handles that are armed in it now."""
        return self._serving.hands.armed()

    async def drain(self, seconds: float) -> None:
        """Take no more connections, let exchanges under way end, and end what is left after so long.

        Args:
            seconds: how long.
        """
        if self._server is not None:
            self._server.close()
        self._serving.draining = True
        for session in [one for one in self._serving.sessions if not one.busy]:
            session.end()
        for within_s in (seconds, None):
            if tasks := [session.task for session in self._serving.sessions]:
                await asyncio.wait(tasks, timeout=within_s)
            for session in list(self._serving.sessions):
                session.end()

    def _accept(self) -> asyncio.Protocol:
        if len(self._serving.sessions) >= MOST_CONNECTIONS:
            return _Full(b"" if self._serving.upstream.scheme == "tcp" else _BUSY)
        make = TcpSession if self._serving.upstream.scheme == "tcp" else Session
        return make(self._serving).client

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            for session in list(self._serving.sessions):
                if session.overdue(loop.time()):
                    session.end()

    def _leave(self) -> None:
        self._serving.units = None
        self._agent = None


class _Full(asyncio.Protocol):
    """Turns a connection away.

    Args:
        answer: what it says.
    """

    def __init__(self, answer: bytes) -> None:
        """Say nothing yet."""
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so, and close."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._answer)
        transport.close()


def upstream_of(url: str) -> Upstream:
    """Return where a base URL leads.

    Raises:
        RefuteError: it is none (`PROXY-UPSTREAM-URL`).
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    tcp, more = parts.scheme == "tcp", parts.path.strip("/") + parts.query + parts.fragment + (parts.username or "")
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.username or (tcp and (more or not port)):
        raise refuse(
            "PROXY-UPSTREAM-URL", "upstream is no base URL", where="--upstream", seen=url,
            allowed="http(s)://HOST[:PORT][/PATH], or tcp://HOST:PORT", next="refute proxy --upstream https://api.openai.com",
        )  # fmt: skip
    tls = _trusting() if parts.scheme == "https" else None
    return Upstream(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"), tls)


def _trusting() -> ssl.SSLContext:
    """Return the system's trust (`SSL_CERT_FILE` adds to it), for HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _go(_message: Message) -> Message:
    return {}
