"""The codec that a request calls for."""

from __future__ import annotations

from collections.abc import Callable

from refute.wire.anthropic_messages import AnthropicMessages
from refute.wire.exchange import Call, Request
from refute.wire.gemini import Gemini
from refute.wire.mcp import Mcp, McpStdio
from refute.wire.ollama import Ollama
from refute.wire.openai_chat import OpenAIChat
from refute.wire.openai_embeddings import OpenAIEmbeddings
from refute.wire.openai_responses import OpenAIResponses
from refute.wire.plain import PlainHttp
from refute.wire.protocol import Codec

PLAIN: Codec = PlainHttp()
_PROVIDERS: tuple[Codec, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    Gemini(),
    Ollama(),
    OpenAIEmbeddings(),
    Mcp(),
)
_STDIO: Codec = McpStdio()
_BY_PROTOCOL: dict[str, Codec] = {codec.protocol: codec for codec in (*_PROVIDERS, _STDIO, PLAIN)}
PROTOCOLS: tuple[str, ...] = tuple(_BY_PROTOCOL)
"""Names of all protocols that are spoken."""


def codec_named(protocol: str) -> Codec:
    """Return the codec of a protocol.

    Raises:
        KeyError: none is known by that name.
    """
    return _BY_PROTOCOL[protocol]


def recognise_head(method: str, path: str, header: Callable[[str], str]) -> tuple[Codec, str]:
    """Return the codec and the operation of a request without looking at its body.

    Args:
        method: upper case.
        path: the URL's path.
        header: value by lower-case name, "" where there is none.

    Returns:
        The provider's codec and its operation, or plain HTTP and `request`.
    """
    for codec in _PROVIDERS:
        if operation := codec.operation(method, path, header):
            return codec, operation
    return PLAIN, "request"


def recognise(request: Request) -> tuple[Codec, Call]:
    """Return the codec that a request calls for, and what the request means."""
    if request.url.startswith("stdio:"):
        return _STDIO, _STDIO.call(request)
    codec, _ = recognise_head(request.method, request.path, request.header)
    return codec, codec.call(request)


def codec_of(call: Call) -> Codec:
    """Return the codec that recognised a call."""
    return _BY_PROTOCOL[call.protocol]


__all__ = ["PLAIN", "PROTOCOLS", "Codec", "codec_named", "codec_of", "recognise", "recognise_head"]
