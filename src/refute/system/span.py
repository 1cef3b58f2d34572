"""One span of a trace, without anything that users said: only what tells components, calls, failures and times."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = dict[str, Value]

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
PRODUCER: Final = 4
CONSUMER: Final = 5

KEPT: Final = frozenset({
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.agent.name", "gen_ai.tool.name", "gen_ai.workflow.name",
    "gen_ai.request.model", "gen_ai.response.model", "gen_ai.data_source.id",
    "openinference.span.kind", "tool.name", "llm.provider", "llm.model_name", "embedding.model_name", "agent.name",
    "mcp.method.name", "mcp.server.name",
    "http.request.method", "http.method", "http.route", "http.response.status_code", "http.status_code", "http.request.resend_count",
    "url.full", "http.url", "url.path", "http.target",
    "rpc.system", "rpc.system.name", "rpc.service", "rpc.method", "rpc.grpc.status_code", "rpc.response.status_code",
    "db.system", "db.system.name", "db.namespace", "db.name", "db.collection.name",
    "messaging.system", "messaging.destination.name", "messaging.destination", "messaging.operation.type", "messaging.operation",
    "server.address", "server.port", "net.peer.name", "net.peer.port", "peer.service", "error.type", "exception.type",
})  # fmt: skip
"""Attributes that are read; everything else, prompts and answers among it, is dropped as a file is read."""


class Span(NamedTuple):
    """One span.

    Attributes:
        trace: identifier of its trace.
        id: its own identifier, unique in the trace.
        parent: identifier of the span that caused it, "" for a root.
        service: name of the program that wrote it.
        name: what it is called.
        kind: one of the constants above, 0 where unspecified.
        start_ns: on the clock of its program.
        end_ns: on the same clock.
        failed: whether its status is an error.
        linked: whether it names spans of other traces as its cause.
        attributes: those of `KEPT` that it has.
    """

    trace: str
    id: str
    parent: str
    service: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    failed: bool
    linked: bool
    attributes: Attributes

    def text(self, *names: str) -> str:
        """Return the first of these attributes that the span has, as text; "" where it has none."""
        for name in names:
            value = self.attributes.get(name)
            if value:
                return value if isinstance(value, str) else str(value)
        return ""

    @property
    def seconds(self) -> float:
        """How long it took; 0 where a clock was set back meanwhile."""
        return max(0, self.end_ns - self.start_ns) / 1e9

    @property
    def address(self) -> str:
        """`host:port` of what it calls, or `host`, or ""."""
        host, port = self.text("server.address", "net.peer.name"), self.text("server.port", "net.peer.port")
        if not host:
            url = self.text("url.full", "http.url")
            return url.partition("://")[2].partition("/")[0].rpartition("@")[2] if url else ""
        return f"{host}:{port}" if port else host
