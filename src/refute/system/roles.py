"""Which component a span speaks of: by the semantic conventions for GenAI, databases, messaging, RPC and HTTP.

OpenInference's span kinds are understood, too: many frameworks are instrumented with them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from refute.core.system import ComponentKind
from refute.system.span import CLIENT, CONSUMER, PRODUCER, Span

_MODELS: Final = frozenset({"chat", "generate_content", "text_completion"})
_AGENTS: Final = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})
_INFERENCE_KINDS: Final = {
    "LLM": "chat", "EMBEDDING": "embeddings", "RETRIEVER": "retrieval", "TOOL": "execute_tool", "AGENT": "invoke_agent",
}  # fmt: skip
_VECTOR_STORES: Final = frozenset(
    {"pinecone", "qdrant", "weaviate", "milvus", "chroma", "chromadb", "lancedb", "vespa", "pgvector", "faiss"}
)
_CACHES: Final = frozenset({"redis", "memcached", "valkey"})
_MODEL_HOSTS: Final = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.mistral.ai", "api.cohere.com")
_PLAIN: Final[ComponentKind] = "service"


class Node(NamedTuple):
    """A component as traces show it.

    Attributes:
        kind: what sort it is.
        name: as the spans name it.
        address: `host:port` at which it was reached, "" where no span says so.
    """

    kind: ComponentKind
    name: str
    address: str = ""


class Role(NamedTuple):
    """What a span is.

    Attributes:
        node: the component that it speaks of.
        remote: whether the span is a call to it from outside; otherwise it is the work of the component itself.
        typed: whether attributes say what sort of component it is; otherwise it is some host that HTTP or RPC reaches.
    """

    node: Node
    remote: bool
    typed: bool


def role_of(span: Span) -> Role:
    """Return what a span is, read from itself alone."""
    if span.attributes:
        told = _genai(span) or _store(span) or _queue(span) or _peer(span)
        if told is not None:
            return told
    return service_role(span.service)


@lru_cache(maxsize=4096)
def service_role(service: str) -> Role:
    """Return the role of a span that is the work of a program itself."""
    return Role(Node(_PLAIN, service or "service"), remote=False, typed=False)


def failed(span: Span) -> bool:
    """Say whether a call failed: by its status, its error, or a status code that a client takes for a failure."""
    status = span.text("http.response.status_code", "http.status_code")
    return span.failed or bool(span.text("error.type")) or (status.isdigit() and int(status) >= (400 if span.kind == CLIENT else 500))


def timed_out(span: Span) -> bool:
    """Say whether a failed call ran into a time limit."""
    names = span.text("error.type") + span.text("exception.type")
    if "timeout" in names.lower() or "deadline" in names.lower() or "timedout" in names.lower():
        return True
    codes = {span.text("http.response.status_code", "http.status_code"), span.text("rpc.response.status_code")}
    return bool(codes & {"504", "408", "DEADLINE_EXCEEDED"}) or span.text("rpc.grpc.status_code") == "4"


def _genai(span: Span) -> Role | None:
    operation = span.text("gen_ai.operation.name") or _INFERENCE_KINDS.get(span.text("openinference.span.kind"), "")
    if operation in _MODELS or operation == "embeddings":
        return _model(span, embeds=operation == "embeddings")
    remote = span.kind == CLIENT
    if operation == "retrieval":
        return _typed("retriever", span, span.text("gen_ai.data_source.id") or "retriever", remote=remote)
    if operation == "execute_tool":
        return _typed("tool", span, span.text("gen_ai.tool.name", "tool.name") or span.name, remote=remote)
    if operation in _AGENTS:
        name = span.text("gen_ai.agent.name", "gen_ai.workflow.name", "agent.name") or "agent"
        return _typed("agent", span, name, remote=remote)
    if span.text("mcp.method.name"):
        return _typed("mcp_server", span, span.text("mcp.server.name") or span.address or "mcp", remote=remote)
    return None


def _model(span: Span, *, embeds: bool) -> Role:
    """A call to a model; a provider's model for embeddings is another component than the one that answers."""
    provider = span.text("gen_ai.provider.name", "gen_ai.system", "llm.provider")
    if embeds:
        return _typed("embedder", span, f"{provider}-embedder" if provider else "embedder", remote=True)
    return _typed("llm", span, provider or "llm", remote=True)


def _store(span: Span) -> Role | None:
    system = span.text("db.system.name", "db.system")
    if not system:
        return None
    kind: ComponentKind = "vector_store" if system.lower() in _VECTOR_STORES else "cache" if system.lower() in _CACHES else "datastore"
    return _typed(kind, span, span.text("db.namespace", "db.name") or system, remote=True)


def _queue(span: Span) -> Role | None:
    system = span.text("messaging.system")
    if not system:
        return None
    node = Node("queue", span.text("messaging.destination.name", "messaging.destination") or system)
    return Role(node, remote=span.kind != CONSUMER, typed=True)


def _peer(span: Span) -> Role | None:
    """Some host that HTTP or RPC reaches; which one may be known from the other side."""
    if span.kind not in {CLIENT, PRODUCER}:
        return None
    address, named = span.address, span.text("peer.service", "rpc.service")
    if not address and not named:
        return None
    kind: ComponentKind = "llm" if address.partition(":")[0] in _MODEL_HOSTS else _PLAIN
    return Role(Node(kind, named or address, address), remote=True, typed=False)


def _typed(kind: ComponentKind, span: Span, name: str, *, remote: bool) -> Role:
    return Role(Node(kind, name, span.address if remote else ""), remote, typed=True)
